//! Why there is no captioner, or no caption.

use std::path::PathBuf;

use model::captioner_file::CaptionerError;
use model::checkpoint::CheckpointError;
use model::grids::SpecError;
use model::search::SearchError;
use model::weights::{FetchError, WeightsError};

/// Why there is no captioner, or no caption.
#[derive(Debug, thiserror::Error)]
pub enum CaptionError {
    /// No model is named, and none is where one would be.
    #[error(
        "{} holds no trained model, and {} is not there: run `just pipeline`, or name a model.safetensors",
        runs.display(), starter.display()
    )]
    NoModel {
        /// Folder of the runs.
        runs: PathBuf,
        /// The starter's file.
        starter: PathBuf,
    },
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The captioner that `export` wrote cannot be used.
    #[error(transparent)]
    Captioner(Box<CaptionerError>),
    /// The model names no features.
    #[error("{} names no features, so no photo can be shown to it: train it again", .0.display())]
    NoFeatures(PathBuf),
    /// The backbone's weights are absent, or not those that the model was trained with.
    #[error(transparent)]
    NoWeights(#[from] FetchError),
    /// The model, or the backbone's weights, cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The features are not those of a backbone of this program.
    #[error(transparent)]
    Features(#[from] SpecError),
    /// The search failed, or its settings make no sense.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// ONNX Runtime is missing, or refused.
    #[error(transparent)]
    Engine(#[from] onnx::OnnxError),
    /// A network of others, whose features the model reads, is damaged or another.
    #[error("{file}: {error}")]
    Foreign {
        /// The file that holds it: its own, or the captioner.
        file: String,
        /// What is wrong.
        error: Box<onnx::ForeignError>,
    },
    /// The model's backbones were not tuned.
    #[error("the model names no keywords: none of its backbones was tuned (preprocess.weights = \"tuned\")")]
    NoKeywords,
    /// The system refused to start threads.
    #[error("cannot start the worker threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl CaptionError {
    pub(crate) fn foreign(file: &str, error: onnx::ForeignError) -> CaptionError {
        CaptionError::Foreign { file: file.to_owned(), error: Box::new(error) }
    }
}

impl From<CaptionerError> for CaptionError {
    fn from(error: CaptionerError) -> CaptionError {
        CaptionError::Captioner(Box::new(error))
    }
}
