//! What a killed training goes on from, as if nothing had happened: `state/latest.safetensors`, and the best checkpoint.
//!
//! `latest` says which steps are done and which epoch was the best, and so which `best-<epoch>.safetensors` belongs to it: writing it
//! is the one moment in which they count as done. A best checkpoint is written before, and older ones are removed after it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use artifacts::tensor_file::TRAINING_STATE_KEY;
use learn::Adam;
use model::weights;
use serde_json::Value;
use tch::Tensor;
use tch::nn::VarStore;
use torch::checkpoint;
use torch::weights::{NamedTensors, write_safetensors};

use crate::average::Average;
use crate::progress::Progress;

const LATEST: &str = "latest.safetensors";
const BEST: &str = "best-";
/// Weights, Adam's two moments and the mean weights, twice while one state takes the other's place; the best checkpoint, and the
/// published one.
const COPIES: u64 = 10;

/// Bytes on disk that training so many parameters takes at least.
pub(crate) fn size(parameters: usize) -> u64 {
    COPIES * 4 * parameters as u64
}

/// Where the state of a training lies.
#[derive(Clone, Debug)]
pub(crate) struct State(pub(crate) PathBuf);

/// What an optimiser step changes.
pub(crate) struct Learning {
    pub(crate) adam: Adam,
    pub(crate) average: Average,
}

/// Weights, moments and mean weights by name.
pub(crate) fn tensors(store: &VarStore, learning: &Learning) -> BTreeMap<String, Tensor> {
    let weights = store.variables().into_iter().map(|(name, tensor)| (format!("weights.{name}"), tensor));
    weights.chain(learning.adam.moments()).chain(learning.average.tensors()).collect()
}

impl State {
    /// The best checkpoint of a training that stands at `progress`.
    pub(crate) fn best(&self, progress: &Progress) -> PathBuf {
        self.0.join(format!("{BEST}{}.safetensors", progress.best.map_or(0, |best| best.epoch)))
    }

    /// Commits where training stands; then older best checkpoints go.
    pub(crate) fn save(
        &self,
        progress: &Progress,
        store: &VarStore,
        learning: &Learning,
    ) -> anyhow::Result<()> {
        let metadata = BTreeMap::from([(TRAINING_STATE_KEY.to_owned(), serde_json::to_string(progress)?)]);
        write_safetensors(&self.0.join(LATEST), &tensors(store, learning), &metadata)
            .context("cannot save the training state")?;
        let best = self.best(progress);
        for entry in std::fs::read_dir(&self.0)? {
            let path = entry?.path();
            let is_best = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(BEST));
            if is_best && path != best {
                std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }

    /// Restores weights and moments of an interrupted run of the same recipe; `None` when there is none.
    pub(crate) fn resume(
        &self,
        fingerprint: &str,
        store: &VarStore,
        learning: &mut Learning,
    ) -> anyhow::Result<Option<Progress>> {
        let path = self.0.join(LATEST);
        if !path.exists() {
            return Ok(None);
        }
        let hint = || format!("delete {} to train from the first epoch on", self.0.display());
        let file = weights::read(&path).with_context(hint)?;
        let json = file.metadata().get(TRAINING_STATE_KEY).map(String::as_str).unwrap_or_default();
        let progress: Value = serde_json::from_str(json).with_context(hint)?;
        if progress.get("fingerprint").and_then(Value::as_str) != Some(fingerprint) {
            return Ok(None);
        }
        let progress: Progress = serde_json::from_value(progress).with_context(hint)?;
        if progress.best.is_some() {
            // It must be there and whole, or its score would be a promise only.
            weights::read(&self.best(&progress)).with_context(hint)?;
        }
        let file = NamedTensors::of(&file).with_context(hint)?;
        checkpoint::restore(&file, tensors(store, learning)).with_context(hint)?;
        Ok(Some(progress))
    }

    /// Starts anew: nothing is kept of another training.
    pub(crate) fn clear(&self) -> std::io::Result<()> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(&self.0)
    }
}
