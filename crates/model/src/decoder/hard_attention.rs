//! Hard attention: an LSTM that looks at one region per word, drawn at random in training and the likeliest afterwards.
//!
//! Xu et al. 2015 (<https://arxiv.org/abs/1502.03044>), section 4.1, on the network of soft attention. A draw has no
//! gradient, so where to look is learnt by REINFORCE with a baseline and an entropy bonus (see
//! [`super::reinforce`]); and, as in the paper, every other caption is trained on the expectation instead of draws.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::parameters::{BuildError, Parameters};
use super::ragged::Ragged;
use super::reinforce::{self, Choices};
use super::show_attend_tell::{ShowAttendTell, Sizes};
use super::table::{Architecture, size};
use super::{Decoder, Dimensions, Forced, Rows, Step};
use crate::precision::Precision;
use crate::problem::{Problem, first, not_negative, share};

/// Share of captions trained on the expectation, drawn anew every time.
const EXPECTATION_SHARE: f64 = 0.5;

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

    fn build(
        &self,
        parameters: &Parameters,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Box<dyn Decoder>, BuildError> {
        Ok(Box::new(HardAttention::new(parameters, self, dimensions, precision)?))
    }

    #[cfg(test)]
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

#[derive(Debug)]
struct HardAttention {
    network: ShowAttendTell,
    reinforce_weight: f64,
    entropy_weight: f64,
}

impl HardAttention {
    fn new(
        parameters: &Parameters,
        config: &HardAttentionConfig,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Self, BuildError> {
        let sizes = Sizes {
            embedding: config.embedding_size,
            feature: config.feature_size,
            hidden: config.hidden_size,
            attention: config.attention_size,
        };
        Ok(HardAttention {
            network: ShowAttendTell::new(parameters, &sizes, config.dropout, dimensions, precision)?,
            reinforce_weight: config.reinforce_weight,
            entropy_weight: config.entropy_weight,
        })
    }
}

/// 1 at the region of each of `indices [images, rows, 1]`, 0 elsewhere.
fn one_hot(like: &Tensor, indices: &Tensor) -> Result<Tensor, TchError> {
    like.f_zeros_like()?.f_scatter_value(-1, indices, 1.0)
}

fn likeliest(energies: &Tensor) -> Result<Tensor, TchError> {
    one_hot(energies, &energies.f_argmax(-1, true)?)
}

impl Decoder for HardAttention {
    fn encode(&self, grid: &Tensor, train: bool) -> Result<Rows, TchError> {
        self.network.encode(grid, train)
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Result<Forced, TchError> {
        if !train {
            return self.network.forward(memory, words, train, likeliest);
        }
        let (images, captions, _) = words.size3()?;
        let expects = Tensor::f_rand([images, captions, 1], (Kind::Float, words.device()))?;
        let expects = expects.f_lt(EXPECTATION_SHARE)?;
        let (mut log_probabilities, mut entropies) = (vec![], vec![]);
        let forced = self.network.forward(memory, words, train, |energies| {
            let (_, left, _) = energies.size3()?;
            let expects = expects.f_narrow(1, 0, left)?;
            let logs = energies.f_log_softmax(-1, Kind::Float)?;
            let shares = logs.f_exp()?;
            // The Gumbel trick: no distribution, however degenerate, makes it fail.
            let noise = logs.f_detach()?.f_zeros_like()?.f_exponential_(1.0)?.f_log()?;
            let drawn = logs.f_detach()?.f_sub(&noise)?.f_argmax(-1, true)?;
            let log_probability = logs.f_gather(-1, &drawn, false)?.f_masked_fill(&expects, 0.0)?;
            log_probabilities.push(log_probability);
            let addends = shares.f_mul(&logs)?.f_neg()?;
            entropies.push(addends.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Float)?);
            shares.f_where_self(&expects, &one_hot(&logs.f_detach()?, &drawn)?)
        })?;
        let ragged = Ragged::new(words)?;
        let spread = |steps: Vec<Tensor>| ragged.spread(&ragged.join(&steps)?)?.f_squeeze_dim(-1);
        let choices =
            Choices { log_probabilities: spread(log_probabilities)?, entropies: spread(entropies)? };
        Ok(Forced { choices: Some(choices), ..forced })
    }

    fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        self.network.start(memory)
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        self.network.step(memory, state, words, likeliest)
    }

    fn choice_loss(
        &self,
        choices: &Choices,
        word_log_probabilities: &Tensor,
        mask: &Tensor,
    ) -> Result<Option<Tensor>, TchError> {
        let reinforce = reinforce::loss(choices, word_log_probabilities, mask)?;
        let reinforce = reinforce.f_mul_scalar(self.reinforce_weight)?;
        let entropy = reinforce::mean_entropy(choices, mask)?.f_mul_scalar(self.entropy_weight)?;
        reinforce.f_sub(&entropy).map(Some)
    }
}
