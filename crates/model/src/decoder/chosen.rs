//! Which decoders a run trains: the one thing of the section `train` that a later stage reads.

use serde::{Deserialize, Serialize};

use super::DecoderKind;

/// The decoders of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct ChosenDecoders {
    /// The decoders to train, each into a folder of its own.
    #[serde(deserialize_with = "artifacts::listed::one_or_more")]
    pub decoders: Vec<DecoderKind>,
}

impl Default for ChosenDecoders {
    fn default() -> Self {
        ChosenDecoders { decoders: vec![DecoderKind::Lstm, DecoderKind::SoftAttention] }
    }
}
