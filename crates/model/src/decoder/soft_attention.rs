//! Soft attention: an LSTM that looks at a weighted mean of the regions, weighted anew for every word.
//!
//! Xu et al. 2015 (<https://arxiv.org/abs/1502.03044>), section 4.2, with the doubly stochastic penalty.

use serde::{Deserialize, Serialize};

use super::Dimensions;
use super::description::{Description, Layer};
use super::show_attend_tell::{self, Sizes};
use super::table::{Architecture, size};
use crate::problem::{Problem, first, not_negative, share};

/// Sizes of the `soft_attention` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SoftAttentionConfig {
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
    /// Weight λ of the doubly stochastic penalty, which asks that every region be looked at.
    pub attention_penalty: f64,
}

impl Default for SoftAttentionConfig {
    fn default() -> Self {
        SoftAttentionConfig {
            embedding_size: 256,
            feature_size: 384,
            hidden_size: 384,
            attention_size: 128,
            dropout: 0.5,
            attention_penalty: 1.0,
        }
    }
}

impl Architecture for SoftAttentionConfig {
    fn problem(&self) -> Option<Problem> {
        first([
            size("embedding_size", self.embedding_size),
            size("feature_size", self.feature_size),
            size("hidden_size", self.hidden_size),
            size("attention_size", self.attention_size),
            share("dropout", self.dropout),
            not_negative("attention_penalty", self.attention_penalty),
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
        show_attend_tell::describe(&sizes, dimensions, &Layer::Softmax)
    }

    fn small() -> Self {
        SoftAttentionConfig {
            embedding_size: 10,
            feature_size: 12,
            hidden_size: 16,
            attention_size: 8,
            dropout: 0.3,
            attention_penalty: 1.0,
        }
    }
}
