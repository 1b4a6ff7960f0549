//! Decoders: networks that write a caption word by word from a grid of features.
//!
//! A decoder encodes the grid once an image, then runs in two ways that must agree: over whole captions at once
//! when training ([`Decoder::forward`]), and one word at a time when searching ([`Decoder::step`]).
//! One file a decoder; search and training know only the trait.

mod ensemble;
mod hard_attention;
mod layers;
mod lstm;
mod ragged;
mod recurrent;
pub mod reinforce;
mod rows;
mod show_attend_tell;
mod soft_attention;
mod transformer;
mod up_down;

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor, nn};

use crate::precision::Precision;
use reinforce::Choices;

pub use ensemble::Ensemble;
pub use hard_attention::HardAttentionConfig;
pub use lstm::LstmConfig;
pub use rows::Rows;
pub use soft_attention::SoftAttentionConfig;
pub use transformer::TransformerConfig;
pub use up_down::UpDownConfig;

/// Sizes that a decoder learns from its data rather than from its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Numbers a region of the feature grid.
    pub channels: i64,
    /// Regions of the feature grid.
    pub regions: i64,
    /// Ids of the vocabulary.
    pub vocabulary: i64,
}

/// A caption decoder.
///
/// # Errors
///
/// Every method fails with what libtorch says: out of memory, or tensors of other shapes, such as a grid with the
/// channels of another backbone.
pub trait Decoder: Send {
    /// Everything about the images that later steps need, computed once: from `grid [images, regions, channels]`,
    /// one row an image. `train` turns dropout on.
    fn encode(&self, grid: &Tensor, train: bool) -> Result<Rows, TchError>;

    /// Teacher forcing: the scores of the word after each word of `words [images, captions, steps]`, padded at their
    /// ends, where all captions of an image share its row of `memory`; what stands at padding means nothing. Captions in
    /// falling order of length cost least. `train` turns dropout on.
    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Result<Forced, TchError>;

    /// The state before the first word: one row for each row of `memory`.
    fn start(&self, memory: &Rows) -> Result<Rows, TchError>;

    /// Reads one word per row (`words [rows]`, first `<bos>`) and scores the next one.
    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError>;

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

/// Result of a teacher-forced pass.
pub struct Forced {
    /// Scores before softmax: `[images × captions, steps, vocabulary]`.
    pub logits: Tensor,
    /// Share of attention on each region at each step, `[images × captions, steps, regions]`, for decoders that
    /// attend.
    pub attention: Option<Tensor>,
    /// What was drawn on the way, for decoders that draw where to look; only in training.
    pub choices: Option<Choices>,
}

/// Result of one step.
pub struct Step {
    /// Scores before softmax: `[rows, vocabulary]`.
    pub logits: Tensor,
    /// State after the word.
    pub state: Rows,
    /// Share of attention on each region, `[rows, regions]`, for decoders that attend.
    pub attention: Option<Tensor>,
}

/// A decoder's architecture, as a checkpoint remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DecoderConfig {
    /// LSTM over the mean feature: the baseline without attention.
    Lstm(LstmConfig),
    /// LSTM with soft attention over the regions.
    SoftAttention(SoftAttentionConfig),
    /// Transformer over the regions.
    Transformer(TransformerConfig),
    /// LSTM that looks at one region a word.
    HardAttention(HardAttentionConfig),
    /// Two LSTMs, one for the attention and one for the words.
    UpDown(UpDownConfig),
}

impl DecoderConfig {
    /// Builds the network with fresh weights below `path`.
    pub fn build(
        &self,
        path: &nn::Path,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Box<dyn Decoder>, TchError> {
        Ok(match self {
            DecoderConfig::Lstm(config) => Box::new(lstm::Lstm::new(path, config, dimensions, precision)?),
            DecoderConfig::SoftAttention(config) => {
                Box::new(soft_attention::SoftAttention::new(path, config, dimensions, precision)?)
            }
            DecoderConfig::Transformer(config) => {
                Box::new(transformer::Transformer::new(path, config, dimensions)?)
            }
            DecoderConfig::HardAttention(config) => {
                Box::new(hard_attention::HardAttention::new(path, config, dimensions, precision)?)
            }
            DecoderConfig::UpDown(config) => {
                Box::new(up_down::UpDown::new(path, config, dimensions, precision)?)
            }
        })
    }
}

#[cfg(test)]
mod tests;
