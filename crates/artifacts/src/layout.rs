//! Where each artifact lives below a run folder.

use std::path::{Path, PathBuf};

use crate::split::Split;

/// `data/runs/<run>/`: all artifacts of one configuration.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The run folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RunFolder(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `images.parquet`, `captions.parquet`, and for the demo `objects.parquet`.
    pub fn dataset(&self) -> PathBuf {
        self.0.join("dataset")
    }

    /// `part-*.parquet` of one set of features ([`set_name`](crate::features::set_name)).
    pub fn features(&self, set: &str) -> PathBuf {
        self.0.join("features").join(set)
    }

    /// `vocabulary.json` and `tokens.parquet`.
    pub fn text(&self) -> PathBuf {
        self.0.join("text")
    }

    /// Checkpoint, resume state and logs of one trained decoder.
    pub fn train(&self, name: &str) -> PathBuf {
        self.0.join("train").join(name)
    }

    /// Captions and scores of one trained decoder on one split.
    pub fn evaluate(&self, name: &str, split: Split) -> PathBuf {
        self.0.join("evaluate").join(name).join(split.as_str())
    }
}

/// The name of a trained decoder: the features it reads, then how it writes.
pub fn model_name(features: &str, decoder: &str) -> String {
    format!("{features}-{decoder}")
}
