//! Why there is no captioner, or no caption.

use std::path::PathBuf;

use model::backbone::UnknownBackbone;
use model::checkpoint::CheckpointError;
use model::search::SearchError;
use model::weights::{FetchError, WeightsError};

/// Why there is no captioner, or no caption.
#[derive(Debug, thiserror::Error)]
pub enum CaptionError {
    /// No run below the folder has a finished model.
    #[error("{} holds no trained model: run `just pipeline`, or name a model.safetensors", .0.display())]
    NoModel(PathBuf),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint names a backbone of another version of this program.
    #[error("{}: {source}", path.display())]
    Backbone {
        /// The checkpoint.
        path: PathBuf,
        /// The name that is not known.
        source: UnknownBackbone,
    },
    /// The checkpoint's features are not what the backbone makes.
    #[error("{}: {reason}: train the model again with this program", path.display())]
    Features {
        /// The checkpoint.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The backbone's weights are not there.
    #[error(transparent)]
    NoWeights(#[from] FetchError),
    /// The backbone's weights cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Weights that the model was not trained on, whose features it does not understand.
    #[error(
        "{} has SHA-256 {found}, but the model was trained on features of {wanted}: put those weights there, or train the model again",
        path.display()
    )]
    OtherWeights {
        /// The file that is there.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The hash in the checkpoint.
        wanted: String,
    },
    /// The search failed, or its settings make no sense.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// libtorch refused.
    #[error("the network failed: {0}")]
    Torch(#[from] tch::TchError),
    /// The system refused to start threads.
    #[error("cannot start the worker threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}
