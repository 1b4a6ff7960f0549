//! `state/latest.safetensors`: everything needed to go on as if nothing had happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use model::{checkpoint, weights};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tch::nn::VarStore;

use crate::adam::Adam;

const KEY: &str = "captioning.training_state";

/// Where training stands after an epoch. Dropout and data order are drawn from the seed and these numbers alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Fingerprint of the recipe; a state of another recipe is not resumed.
    pub(crate) fingerprint: String,
    /// Epochs done.
    pub(crate) epoch: usize,
    /// Optimiser steps done.
    pub(crate) step: usize,
    /// Best validation score so far.
    pub(crate) best_score: Option<f64>,
    /// The epoch that reached it.
    pub(crate) best_epoch: usize,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("state").join("latest.safetensors")
}

/// Weights, then moments, by name.
fn tensors(store: &VarStore, adam: &Adam) -> BTreeMap<String, Tensor> {
    let weights = store.variables().into_iter().map(|(name, tensor)| (format!("weights.{name}"), tensor));
    weights.chain(adam.moments()).collect()
}

/// Saves the state atomically.
pub(crate) fn save(folder: &Path, progress: &Progress, store: &VarStore, adam: &Adam) -> anyhow::Result<()> {
    let metadata = BTreeMap::from([(KEY.to_owned(), serde_json::to_string(progress)?)]);
    std::fs::create_dir_all(folder.join("state"))?;
    weights::write_safetensors(&path(folder), &tensors(store, adam), &metadata)
        .context("cannot save the training state")
}

/// Restores weights and moments of an interrupted run of the same recipe; `None` when there is none.
pub(crate) fn resume(
    folder: &Path,
    fingerprint: &str,
    store: &VarStore,
    adam: &mut Adam,
) -> anyhow::Result<Option<Progress>> {
    let path = path(folder);
    if !path.exists() {
        return Ok(None);
    }
    let hint = || format!("{}: delete it to start from the first epoch", path.display());
    let file = weights::read(&path).with_context(hint)?;
    let progress: Progress =
        serde_json::from_str(file.metadata().get(KEY).map(String::as_str).unwrap_or_default())
            .with_context(hint)?;
    if progress.fingerprint != fingerprint {
        return Ok(None);
    }
    checkpoint::restore(&file, tensors(store, adam)).with_context(hint)?;
    adam.set_steps(i32::try_from(progress.step)?);
    Ok(Some(progress))
}

/// Removes the state: training is over, or starts anew.
pub(crate) fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder.join("state")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
