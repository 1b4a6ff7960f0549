//! `state/latest.safetensors`: everything needed to go on as if nothing had happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use artifacts::tensor_file::TRAINING_STATE_KEY;
use model::{checkpoint, weights};
use serde_json::Value;
use tch::Tensor;
use tch::nn::VarStore;

use crate::adam::Adam;
use crate::average::Average;
use crate::progress::Progress;

fn path(folder: &Path) -> PathBuf {
    folder.join("state").join("latest.safetensors")
}

/// What an optimiser step changes.
pub(crate) struct Learning {
    pub(crate) adam: Adam,
    pub(crate) average: Average,
}

/// Weights, moments and mean weights by name.
fn tensors(store: &VarStore, learning: &Learning) -> BTreeMap<String, Tensor> {
    let weights = store.variables().into_iter().map(|(name, tensor)| (format!("weights.{name}"), tensor));
    weights.chain(learning.adam.moments()).chain(learning.average.tensors()).collect()
}

/// Marks that training is not over.
pub(crate) fn begin(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("state"))
}

/// Whether a training has begun and is not over.
pub(crate) fn exists(folder: &Path) -> bool {
    folder.join("state").exists()
}

/// Saves the state atomically.
pub(crate) fn save(
    folder: &Path,
    progress: &Progress,
    store: &VarStore,
    learning: &Learning,
) -> anyhow::Result<()> {
    let metadata = BTreeMap::from([(TRAINING_STATE_KEY.to_owned(), serde_json::to_string(progress)?)]);
    weights::write_safetensors(&path(folder), &tensors(store, learning), &metadata)
        .context("cannot save the training state")
}

/// Restores weights and moments of an interrupted run of the same recipe; `None` when there is none.
pub(crate) fn resume(
    folder: &Path,
    fingerprint: &str,
    store: &VarStore,
    learning: &mut Learning,
) -> anyhow::Result<Option<Progress>> {
    let path = path(folder);
    if !path.exists() {
        return Ok(None);
    }
    let hint = || format!("{}: delete it to start from the first epoch", path.display());
    let file = weights::read(&path).with_context(hint)?;
    let json = file.metadata().get(TRAINING_STATE_KEY).map(String::as_str).unwrap_or_default();
    let progress: Value = serde_json::from_str(json).with_context(hint)?;
    if progress.get("fingerprint").and_then(Value::as_str) != Some(fingerprint) {
        return Ok(None);
    }
    let progress: Progress = serde_json::from_value(progress).with_context(hint)?;
    checkpoint::restore(&file, tensors(store, learning)).with_context(hint)?;
    learning.adam.set_steps(i32::try_from(progress.steps_of_phase())?);
    Ok(Some(progress))
}

/// Removes the state: training is over, or starts anew.
pub(crate) fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder.join("state")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
