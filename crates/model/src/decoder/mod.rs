//! Decoders: networks that write a caption word by word from a grid of features.
//!
//! A decoder encodes the grid once per image, then runs in two ways that must agree: over whole captions at once
//! when training ([`Decoder::forward`]), and one word at a time when searching ([`Decoder::step`]).
//!
//! A decoder is its own file, which tells the table about itself by `Architecture`, and a row of the table below;
//! search and training know only the trait [`Decoder`].

mod chosen;
mod ensemble;
mod layers;
mod parameters;
mod ragged;
mod recurrent;
pub mod reinforce;
mod rows;
mod show_attend_tell;
mod table;
mod warm_start;

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use crate::precision::Precision;
use crate::problem::Problem;
use reinforce::Choices;
use table::Architecture;

pub use chosen::ChosenDecoders;
pub use ensemble::Ensemble;
pub use parameters::{BuildError, Parameters};
pub use rows::Rows;
pub use warm_start::WarmStart;

mod hard_attention;
mod lstm;
mod soft_attention;
mod transformer;
mod up_down;

table::decoders! {
    /// LSTM over the mean feature: the baseline without attention.
    lstm: Lstm(LstmConfig),
    /// LSTM with soft attention over the regions.
    soft_attention: SoftAttention(SoftAttentionConfig),
    /// LSTM that looks at one region per word, drawn in training and learnt by REINFORCE.
    hard_attention: HardAttention(HardAttentionConfig),
    /// Two LSTMs: one decides where to look, the other writes.
    up_down: UpDown(UpDownConfig),
    /// Transformer over the regions.
    transformer: Transformer(TransformerConfig),
}

/// Sizes that a decoder learns from its data rather than from its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Numbers per region of the feature grid.
    pub channels: i64,
    /// Regions of the feature grid.
    pub regions: i64,
    /// Number of ids, the special tokens included.
    pub vocabulary: i64,
}

/// A caption decoder.
///
/// # Errors
///
/// Every method fails with what libtorch says: out of memory, or tensors of other shapes, such as a grid with the
/// channels of another backbone.
#[allow(clippy::missing_errors_doc, reason = "said once for all methods")]
pub trait Decoder: Send {
    /// Everything about the images that later steps need, computed once: from `grid [images, regions, channels]`,
    /// one row per image. `train` turns dropout on.
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
