//! What a killed tuning goes on from, as if nothing had happened: `state/latest.safetensors`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use artifacts::tensor_file::TRAINING_STATE_KEY;
use learn::Adam;
use model::weights;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use torch::checkpoint;
use torch::weights::{NamedTensors, write_safetensors};

const LATEST: &str = "latest.safetensors";

/// Where tuning stands. All that is drawn depends on the seed and these numbers alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Fingerprint of the recipe; a state of another recipe is not resumed.
    fingerprint: String,
    /// Optimiser steps that are done.
    pub(crate) steps: usize,
    /// Images that could not be read, with the reason, by path.
    pub(crate) skipped: BTreeMap<String, String>,
}

/// Where the state of a tuning lies.
pub(crate) struct State(pub(crate) PathBuf);

fn tensors(optimisers: &[Adam]) -> BTreeMap<String, Tensor> {
    let weights = |adam: &Adam| -> Vec<(String, Tensor)> {
        let named = |(name, tensor): (&str, &Tensor)| (format!("weights.{name}"), tensor.shallow_clone());
        adam.parameters().map(named).chain(adam.moments()).collect()
    };
    optimisers.iter().flat_map(weights).collect()
}

impl State {
    /// Commits where tuning stands.
    pub(crate) fn save(&self, progress: &Progress, optimisers: &[Adam]) -> anyhow::Result<()> {
        let metadata = BTreeMap::from([(TRAINING_STATE_KEY.to_owned(), serde_json::to_string(progress)?)]);
        write_safetensors(&self.0.join(LATEST), &tensors(optimisers), &metadata)
            .context("cannot save the training state")
    }

    /// Restores an interrupted tuning of the same recipe, or begins a new one.
    pub(crate) fn resume(&self, fingerprint: &str, optimisers: &mut [Adam]) -> anyhow::Result<Progress> {
        let fresh = || Progress { fingerprint: fingerprint.to_owned(), ..Progress::default() };
        std::fs::create_dir_all(&self.0).with_context(|| self.0.display().to_string())?;
        let path = self.0.join(LATEST);
        if !path.exists() {
            return Ok(fresh());
        }
        let hint = || format!("delete {} to tune from the first step on", self.0.display());
        let file = weights::read(&path).with_context(hint)?;
        let json = file.metadata().get(TRAINING_STATE_KEY).map(String::as_str).unwrap_or_default();
        let progress: Progress = serde_json::from_str(json).with_context(hint)?;
        if progress.fingerprint != fingerprint {
            return Ok(fresh());
        }
        let file = NamedTensors::of(&file).with_context(hint)?;
        checkpoint::restore(&file, tensors(optimisers)).with_context(hint)?;
        for adam in optimisers {
            adam.set_steps(i32::try_from(progress.steps)?);
        }
        Ok(progress)
    }
}
