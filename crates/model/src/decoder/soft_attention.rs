//! Soft attention: an LSTM that looks at a weighted mean of the regions, weighted anew for every word.
//!
//! Xu et al. 2015 (<https://arxiv.org/abs/1502.03044>), section 4.2, with the doubly stochastic penalty.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::parameters::{BuildError, Parameters};
use super::show_attend_tell::{ShowAttendTell, Sizes};
use super::table::{Architecture, size};
use super::{Decoder, Dimensions, Forced, Rows, Step};
use crate::precision::Precision;
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

    fn build(
        &self,
        parameters: &Parameters,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Box<dyn Decoder>, BuildError> {
        Ok(Box::new(SoftAttention::new(parameters, self, dimensions, precision)?))
    }

    #[cfg(test)]
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

#[derive(Debug)]
struct SoftAttention {
    network: ShowAttendTell,
    penalty: f64,
}

impl SoftAttention {
    fn new(
        parameters: &Parameters,
        config: &SoftAttentionConfig,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Self, BuildError> {
        let sizes = Sizes {
            embedding: config.embedding_size,
            feature: config.feature_size,
            hidden: config.hidden_size,
            attention: config.attention_size,
        };
        let network = ShowAttendTell::new(parameters, &sizes, config.dropout, dimensions, precision)?;
        Ok(SoftAttention { network, penalty: config.attention_penalty })
    }
}

fn softmax(energies: &Tensor) -> Result<Tensor, TchError> {
    energies.f_softmax(-1, Kind::Float)
}

impl Decoder for SoftAttention {
    fn encode(&self, grid: &Tensor, train: bool) -> Result<Rows, TchError> {
        self.network.encode(grid, train)
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Result<Forced, TchError> {
        self.network.forward(memory, words, train, softmax)
    }

    fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        self.network.start(memory)
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        self.network.step(memory, state, words, softmax)
    }

    /// λ · mean over captions and regions of (1 − Σₜ αₜ)² (equation 14 of the paper, as a mean so that λ does not
    /// depend on the grid). Captions without any word are padding and do not count.
    fn attention_loss(&self, attention: &Tensor, mask: &Tensor) -> Result<Option<Tensor>, TchError> {
        let looked = attention.f_mul(&mask.f_unsqueeze(-1)?)?;
        let looked = looked.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?;
        let miss = looked.f_sub_scalar(1.0)?.f_square()?.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
        let is_caption = mask.f_amax([1i64].as_slice(), false)?;
        let sum = miss.f_mul(&is_caption)?.f_sum(Kind::Float)?;
        sum.f_div(&is_caption.f_sum(Kind::Float)?)?.f_mul_scalar(self.penalty).map(Some)
    }
}
