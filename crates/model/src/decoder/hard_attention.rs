//! Hard attention: an LSTM that looks at one region per word, drawn at random in training and the likeliest afterwards.
//!
//! Xu et al. 2015 (<https://arxiv.org/abs/1502.03044>), section 4.1, on the network of soft attention. A draw has no
//! gradient, so where to look is learnt by REINFORCE with a baseline and an entropy bonus; and, as in the paper, every
//! other caption is trained on the expectation instead of draws.

use serde::{Deserialize, Serialize};

use super::Dimensions;
use super::description::{Description, Layer};
use super::show_attend_tell::{self, Sizes};
use super::table::{Architecture, size};
use crate::problem::{Problem, first, not_negative, share};

/// Sizes of the `hard_attention` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct HardAttentionConfig {
    /// Size of a word vector.
    pub embedding_size: i64,
    /// Size of a projected region.
    pub feature_size: i64,
    /// Size of the LSTM state.
    pub hidden_size: i64,
    /// Size of the space in which state and regions are compared.
    pub attention_size: i64,
    /// Share of units dropped in training.
    pub dropout: f64,
    /// Weight λr of REINFORCE: how fast draws that made the caption likelier become likelier.
    pub reinforce_weight: f64,
    /// Weight λe of the entropy, which keeps the draws from settling too early.
    pub entropy_weight: f64,
}

impl Default for HardAttentionConfig {
    fn default() -> Self {
        HardAttentionConfig {
            embedding_size: 256,
            feature_size: 384,
            hidden_size: 384,
            attention_size: 128,
            dropout: 0.5,
            reinforce_weight: 0.1,
            entropy_weight: 0.01,
        }
    }
}

impl Architecture for HardAttentionConfig {
    fn problem(&self) -> Option<Problem> {
        first([
            size("embedding_size", self.embedding_size),
            size("feature_size", self.feature_size),
            size("hidden_size", self.hidden_size),
            size("attention_size", self.attention_size),
            share("dropout", self.dropout),
            not_negative("reinforce_weight", self.reinforce_weight),
            not_negative("entropy_weight", self.entropy_weight),
        ])
    }

    fn describe(&self, dimensions: Dimensions) -> Description {
        let sizes = Sizes {
            embedding: self.embedding_size,
            feature: self.feature_size,
            hidden: self.hidden_size,
            attention: self.attention_size,
            dropout: self.dropout,
        };
        show_attend_tell::describe(&sizes, dimensions, &Layer::Largest)
    }

    fn small() -> Self {
        HardAttentionConfig {
            embedding_size: 10,
            feature_size: 12,
            hidden_size: 16,
            attention_size: 8,
            dropout: 0.3,
            ..Default::default()
        }
    }
}
