//! Decoders: networks that write a caption word by word from a grid of features.
//!
//! A decoder encodes the grid once per image, then writes one word at a time. It is its own file, which
//! [describes](description::Description) it and tells the table about itself by `Architecture`, and a row of the table below.

mod attend;
mod chosen;
pub mod description;
mod show_attend_tell;
mod table;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use description::Description;
use table::Architecture;

pub use chosen::ChosenDecoders;

mod hard_attention;
mod lstm;
mod soft_attention;
pub mod transformer;
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

#[cfg(test)]
mod tests;
