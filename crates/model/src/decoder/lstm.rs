//! The baseline without attention: an LSTM that sees the mean of the feature grid.
//!
//! After Vinyals et al. 2015, "Show and Tell": the image opens the LSTM's state. Unlike there, the mean feature also
//! stands beside every word, so that what is left between this decoder and [`super::soft_attention`] is attention.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::layers::{Embedding, Linear, dropout, mean_region};
use super::parameters::{BuildError, Parameters};
use super::table::{Architecture, size};
use super::{Decoder, Dimensions, Forced, Rows, Step, recurrent};
use crate::precision::Precision;
use crate::problem::{Problem, first, share};

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

impl Architecture for LstmConfig {
    fn problem(&self) -> Option<Problem> {
        first([
            size("embedding_size", self.embedding_size),
            size("feature_size", self.feature_size),
            size("hidden_size", self.hidden_size),
            share("dropout", self.dropout),
        ])
    }

    fn build(
        &self,
        parameters: &Parameters,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Box<dyn Decoder>, BuildError> {
        Ok(Box::new(Lstm::new(parameters, self, dimensions, precision)?))
    }

    #[cfg(test)]
    fn small() -> Self {
        LstmConfig { embedding_size: 10, feature_size: 12, hidden_size: 16, dropout: 0.3 }
    }
}

#[derive(Debug)]
struct Lstm {
    feature: Linear,
    initial_hidden: Linear,
    initial_cell: Linear,
    embedding: Embedding,
    lstm: recurrent::Lstm,
    output: Linear,
    dropout: f64,
}

impl Lstm {
    fn new(
        parameters: &Parameters,
        config: &LstmConfig,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Self, BuildError> {
        let LstmConfig { embedding_size, feature_size, hidden_size, dropout } = *config;
        let inputs = embedding_size + feature_size;
        Ok(Lstm {
            feature: Linear::new(parameters / "feature", dimensions.channels, feature_size)?,
            initial_hidden: Linear::new(parameters / "initial_hidden", feature_size, hidden_size)?,
            initial_cell: Linear::new(parameters / "initial_cell", feature_size, hidden_size)?,
            embedding: Embedding::new(parameters / "embedding", dimensions.vocabulary, embedding_size)?,
            lstm: recurrent::Lstm::new(parameters / "lstm", inputs, hidden_size, precision)?,
            output: Linear::new(parameters.by_word() / "output", hidden_size, dimensions.vocabulary)?,
            dropout,
        })
    }
}

impl Decoder for Lstm {
    fn encode(&self, grid: &Tensor, train: bool) -> Result<Rows, TchError> {
        let feature = self.feature.forward(&mean_region(grid)?)?.f_relu()?;
        Ok(Rows(vec![dropout(&feature, self.dropout, train)?]))
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Result<Forced, TchError> {
        let (_, captions, steps) = words.size3()?;
        let memory = Rows(vec![memory.0[0].f_repeat_interleave_self_int(captions, 0, None)?]);
        let state = self.start(&memory)?;
        let feature = memory.0[0].f_unsqueeze(1)?.f_expand([-1, steps, -1], false)?;
        let words = self.embedding.forward(&words.f_flatten(0, 1)?)?;
        let words = dropout(&words, self.dropout, train)?;
        let inputs = Tensor::f_cat(&[words, feature], 2)?;
        let hidden = self.lstm.sequence(&inputs, &state.0[0], &state.0[1])?;
        let logits = self.output.forward(&dropout(&hidden, self.dropout, train)?)?;
        Ok(Forced { logits, attention: None, choices: None })
    }

    fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        let initial = |layer: &Linear| layer.forward(&memory.0[0])?.f_tanh();
        Ok(Rows(vec![initial(&self.initial_hidden)?, initial(&self.initial_cell)?]))
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        let input = Tensor::f_cat(&[&self.embedding.forward(words)?, &memory.0[0]], 1)?;
        let (hidden, cell) = self.lstm.step(&input, &state.0[0], &state.0[1])?;
        let logits = self.output.forward(&hidden)?;
        Ok(Step { logits, state: Rows(vec![hidden, cell]), attention: None })
    }
}
