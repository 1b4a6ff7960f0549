//! The baseline without attention: an LSTM that sees the mean of the feature grid.
//!
//! After Vinyals et al. 2015, "Show and Tell": the image opens the LSTM's state. Unlike there, the mean feature also
//! stands beside every word, so that what is left between this decoder and [`super::soft_attention`] is attention.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

use super::layers::{Lstm as LstmLayer, dropout, embedding, linear, mean_region};
use super::{Decoder, Dimensions, Forced, Rows, Step};

/// Sizes of the `lstm` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct LstmConfig {
    /// Size of a word vector.
    pub embedding_size: i64,
    /// Size of the projected mean feature.
    pub feature_size: i64,
    /// Size of the LSTM state.
    pub hidden_size: i64,
    /// Share of units dropped in training.
    pub dropout: f64,
}

impl Default for LstmConfig {
    fn default() -> Self {
        LstmConfig { embedding_size: 256, feature_size: 384, hidden_size: 384, dropout: 0.5 }
    }
}

#[derive(Debug)]
pub(super) struct Lstm {
    feature: nn::Linear,
    initial_hidden: nn::Linear,
    initial_cell: nn::Linear,
    embedding: nn::Embedding,
    lstm: LstmLayer,
    output: nn::Linear,
    dropout: f64,
}

impl Lstm {
    pub(super) fn new(path: &nn::Path, config: &LstmConfig, dimensions: Dimensions) -> Self {
        let LstmConfig { embedding_size, feature_size, hidden_size, dropout } = *config;
        Lstm {
            feature: linear(path / "feature", dimensions.channels, feature_size),
            initial_hidden: linear(path / "initial_hidden", feature_size, hidden_size),
            initial_cell: linear(path / "initial_cell", feature_size, hidden_size),
            embedding: embedding(path / "embedding", dimensions.vocabulary, embedding_size),
            lstm: LstmLayer::new(path / "lstm", embedding_size + feature_size, hidden_size),
            output: linear(path / "output", hidden_size, dimensions.vocabulary),
            dropout,
        }
    }
}

impl Decoder for Lstm {
    fn encode(&self, grid: &Tensor, train: bool) -> Rows {
        Rows(vec![dropout(&mean_region(grid).apply(&self.feature).relu(), self.dropout, train)])
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Forced {
        let (captions, steps) = (words.size()[1], words.size()[2]);
        let memory = Rows(vec![memory.0[0].repeat_interleave_self_int(captions, 0, None)]);
        let state = self.start(&memory);
        let feature = memory.0[0].unsqueeze(1).expand([-1, steps, -1], false);
        let words = words.flatten(0, 1);
        let words = dropout(&words.apply(&self.embedding), self.dropout, train);
        let hidden = self.lstm.sequence(&Tensor::cat(&[words, feature], 2), &state.0[0], &state.0[1]);
        Forced {
            logits: dropout(&hidden, self.dropout, train).apply(&self.output),
            attention: None,
            choices: None,
        }
    }

    fn start(&self, memory: &Rows) -> Rows {
        let feature = &memory.0[0];
        Rows(vec![feature.apply(&self.initial_hidden).tanh(), feature.apply(&self.initial_cell).tanh()])
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Step {
        let input = Tensor::cat(&[&words.apply(&self.embedding), &memory.0[0]], 1);
        let (hidden, cell) = self.lstm.step(&input, &state.0[0], &state.0[1]);
        Step { logits: hidden.apply(&self.output), state: Rows(vec![hidden, cell]), attention: None }
    }
}
