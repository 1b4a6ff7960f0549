//! Decoders that learn: their [`Network`], run over whole captions at once.
//!
//! A decoder runs in two ways that must agree: over whole captions when training ([`Decoder::forward`]), and one word at a time
//! when searching ([`Network::step`]). The second is what its description says; the first is written here, a file for each, of the
//! same layers.

mod layers;
mod network;
mod parameters;
pub mod ragged;
mod recurrent;
pub mod reinforce;
mod rows;
mod show_attend_tell;
mod steps;
mod warm_start;

use model::decoder::{DecoderConfig, Dimensions};
use tch::{TchError, Tensor};

use crate::draws::Draws;
use crate::precision::Precision;
use ragged::Ragged;
use reinforce::Choices;

pub use network::Network;
pub use parameters::{BuildError, Parameters};
pub use rows::Rows;
pub use warm_start::WarmStart;

mod hard_attention;
mod lstm;
mod soft_attention;
mod transformer;
mod up_down;

/// A decoder that learns.
///
/// # Errors
///
/// Every method fails with what libtorch says: out of memory, or tensors of other shapes, such as a grid with the
/// channels of another backbone.
#[allow(clippy::missing_errors_doc, reason = "said once for all methods")]
pub trait Decoder: Send {
    /// What it is, with its parameters: for search.
    fn network(&self) -> &Network;

    /// Another handle on the same parameters, for another thread.
    fn share(&self) -> Box<dyn Decoder>;

    /// Everything about the images that later steps need, computed once: from `grid [images, regions, channels]`,
    /// one row per image. Where there are draws, dropout is on.
    fn encode(&self, grid: &Tensor, draws: Option<&Draws>) -> Result<Rows, TchError> {
        self.network().encode(grid, draws)
    }

    /// The state before the first word: one row for each row of `memory`.
    fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        self.network().start(memory)
    }

    /// Reads one word per row (`words [rows]`, first `<bos>`) and scores the next one.
    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        self.network().step(memory, state, words)
    }

    /// Teacher forcing: the scores of the word after each word of `words [images, captions, steps]`, padded at their
    /// ends, where all captions of an image share its row of `memory`. Captions in falling order of length cost least.
    /// Where there are draws, dropout is on, and whatever else is drawn in training.
    fn forward(&self, memory: &Rows, words: &Tensor, draws: Option<&Draws>) -> Result<Forced, TchError>;

    /// The loss that the decoder adds to cross-entropy for the attention of a batch, a scalar; `mask` is 1 on the
    /// steps `[images × captions, steps]` that are not padding.
    fn attention_loss(&self, _attention: &Tensor, _mask: &Tensor) -> Result<Option<Tensor>, TchError> {
        Ok(None)
    }

    /// The loss that the decoder adds for what it drew in training ([`Forced::choices`]), a scalar;
    /// `word_log_probabilities` are those of the words it should have written, and like `mask`
    /// `[images × captions, steps]`.
    fn choice_loss(
        &self,
        _choices: &Choices,
        _word_log_probabilities: &Tensor,
        _mask: &Tensor,
    ) -> Result<Option<Tensor>, TchError> {
        Ok(None)
    }
}

/// Builds the decoder `config` with `parameters`: those of a file, fresh ones below a path of a store, or there those
/// of a [`WarmStart`]; `precision` is what the factors of products are rounded to.
///
/// # Errors
///
/// Parameters that are absent or of another shape, before any memory is taken for them; fresh ones that libtorch cannot
/// make: out of memory, or sizes that [`DecoderConfig::problem`] refuses.
pub fn build<'a>(
    config: &DecoderConfig,
    parameters: impl Into<Parameters<'a>>,
    dimensions: Dimensions,
    precision: Precision,
) -> Result<Box<dyn Decoder>, BuildError> {
    let network = Network::new(config.describe(dimensions), &parameters.into(), precision)?;
    Ok(match config {
        DecoderConfig::Lstm(config) => Box::new(lstm::Lstm { network, dropout: config.dropout }),
        DecoderConfig::SoftAttention(config) => {
            Box::new(soft_attention::SoftAttention { config: config.clone(), network })
        }
        DecoderConfig::HardAttention(config) => {
            Box::new(hard_attention::HardAttention { config: config.clone(), network })
        }
        DecoderConfig::UpDown(config) => Box::new(up_down::UpDown { config: config.clone(), network }),
        DecoderConfig::Transformer(config) => {
            Box::new(transformer::Transformer { layers: config.layers, network })
        }
    })
}

/// Result of a teacher-forced pass.
pub struct Forced {
    /// Scores before softmax of the places that are computed, all words among them: `[places, vocabulary]`.
    pub logits: Tensor,
    /// Which places these are.
    pub ragged: Ragged,
    /// Share of attention on each region at each step, `[images × captions, steps, regions]`, for decoders that
    /// attend.
    pub attention: Option<Tensor>,
    /// What was drawn on the way, for decoders that draw where to look; only in training.
    pub choices: Option<Choices>,
}

impl Forced {
    /// The scores, padded with zeros: `[images × captions, steps, vocabulary]`.
    ///
    /// # Errors
    ///
    /// No room for them.
    pub fn padded(&self) -> Result<Tensor, TchError> {
        self.ragged.spread(&self.logits)
    }
}

/// What one step of a search knows.
pub struct Step {
    /// Scores before softmax: `[rows, vocabulary]`.
    pub logits: Tensor,
    /// State after the word.
    pub state: Rows,
    /// Share of attention on each region, `[rows, regions]`, for decoders that attend.
    pub attention: Option<Tensor>,
}

#[cfg(test)]
mod tests;
