//! Top-down attention with two LSTMs: the first decides where to look, the second writes the word.
//!
//! Anderson et al. 2018, "Bottom-Up and Top-Down Attention" (<https://arxiv.org/abs/1707.07998>), section 3.2.
//! Deviations: the regions are the CNN's grid instead of detected objects, and are first projected to `feature_size`.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::layers::{AdditiveAttention, Embedding, Linear, dropout, mean_region};
use super::parameters::{BuildError, Parameters};
use super::ragged::Ragged;
use super::recurrent::Lstm;
use super::table::{Architecture, size};
use super::{Decoder, Dimensions, Forced, Rows, Step};
use crate::precision::Precision;
use crate::problem::{Problem, first, share};

/// Sizes of the `up_down` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct UpDownConfig {
    /// Size of a word vector.
    pub embedding_size: i64,
    /// Size of a projected region.
    pub feature_size: i64,
    /// Size of the state of each LSTM.
    pub hidden_size: i64,
    /// Size of the space in which state and regions are compared.
    pub attention_size: i64,
    /// Share of units dropped in training.
    pub dropout: f64,
}

impl Default for UpDownConfig {
    fn default() -> Self {
        UpDownConfig {
            embedding_size: 256,
            feature_size: 384,
            hidden_size: 384,
            attention_size: 128,
            dropout: 0.5,
        }
    }
}

impl Architecture for UpDownConfig {
    fn problem(&self) -> Option<Problem> {
        first([
            size("embedding_size", self.embedding_size),
            size("feature_size", self.feature_size),
            size("hidden_size", self.hidden_size),
            size("attention_size", self.attention_size),
            share("dropout", self.dropout),
        ])
    }

    fn build(
        &self,
        parameters: &Parameters,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Box<dyn Decoder>, BuildError> {
        Ok(Box::new(UpDown::new(parameters, self, dimensions, precision)?))
    }

    #[cfg(test)]
    fn small() -> Self {
        UpDownConfig {
            embedding_size: 10,
            feature_size: 12,
            hidden_size: 16,
            attention_size: 8,
            dropout: 0.3,
        }
    }
}

#[derive(Debug)]
struct UpDown {
    feature: Linear,
    attention: AdditiveAttention,
    embedding: Embedding,
    attention_lstm: Lstm,
    language_lstm: Lstm,
    output: Linear,
    hidden_size: i64,
    dropout: f64,
}

impl UpDown {
    fn new(
        parameters: &Parameters,
        config: &UpDownConfig,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Self, BuildError> {
        let UpDownConfig { embedding_size, feature_size, hidden_size, attention_size, dropout } = *config;
        let lstm = |name: &str, inputs: i64| Lstm::new(parameters / name, inputs, hidden_size, precision);
        Ok(UpDown {
            feature: Linear::new(parameters / "feature", dimensions.channels, feature_size)?,
            attention: AdditiveAttention::new(parameters, feature_size, hidden_size, attention_size)?,
            embedding: Embedding::new(parameters / "embedding", dimensions.vocabulary, embedding_size)?,
            attention_lstm: lstm("attention_lstm", hidden_size + feature_size + embedding_size)?,
            language_lstm: lstm("language_lstm", feature_size + hidden_size)?,
            output: Linear::new(parameters.by_word() / "output", hidden_size, dimensions.vocabulary)?,
            hidden_size,
            dropout,
        })
    }

    /// Shares on each region and the regions weighed with them, `[images, rows of each image, …]`, for the states
    /// `hidden [images, rows of each image, hidden]` of the attention LSTM.
    fn look(&self, memory: &Rows, hidden: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let [regions, keys] = [&memory.0[0], &memory.0[1]];
        let shares = self.attention.energies(keys, hidden)?.f_softmax(-1, Kind::Float)?;
        let context = shares.f_bmm(regions)?;
        Ok((shares, context))
    }
}

impl Decoder for UpDown {
    /// Regions `[rows, regions, feature]`, their keys `[rows, regions, attention]` and their mean `[rows, feature]`.
    fn encode(&self, grid: &Tensor, train: bool) -> Result<Rows, TchError> {
        let regions = dropout(&self.feature.forward(grid)?.f_relu()?, self.dropout, train)?;
        let keys = self.attention.keys(&regions)?;
        let mean = mean_region(&regions)?;
        Ok(Rows(vec![regions, keys, mean]))
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Result<Forced, TchError> {
        let ragged = Ragged::new(words)?;
        let (images, captions, _) = words.size3()?;
        let mean = memory.0[2].f_unsqueeze(1)?;
        let mean = ragged.left().map(|left| mean.f_expand([-1, left, -1], false));
        let mean = mean.collect::<Result<Vec<_>, _>>()?;
        let words = dropout(&self.embedding.forward(&ragged.select(words)?)?, self.dropout, train)?;
        let known = Tensor::f_cat(&[&ragged.join(&mean)?, &words], 1)?;
        let attention_lstm = self.attention_lstm.unroll(&ragged, self.hidden_size, &known)?;
        // Nothing that this one reads is known ahead.
        let language_lstm = self.language_lstm.unroll(&ragged, 0, &words.f_narrow(1, 0, 0)?)?;
        let zeros = Tensor::f_zeros([images, captions, self.hidden_size], (words.f_kind()?, words.device()))?;
        let mut state = [(); 4].map(|()| zeros.shallow_clone());
        let (mut hiddens, mut attentions) = (vec![], vec![]);
        for (step, left) in ragged.left().enumerate() {
            let left = |state: &Tensor| state.f_narrow(1, 0, left);
            let (attention_hidden, attention_cell) = (left(&state[0])?, left(&state[1])?);
            let (hidden, cell) = (left(&state[2])?, left(&state[3])?);
            let (attention_hidden, attention_cell) =
                attention_lstm.step(step, &hidden, &attention_hidden, &attention_cell)?;
            let (shares, context) = self.look(memory, &attention_hidden)?;
            let input = Tensor::f_cat(&[&context, &attention_hidden], 2)?;
            let (hidden, cell) = language_lstm.step(step, &input, &hidden, &cell)?;
            hiddens.push(hidden.shallow_clone());
            attentions.push(shares);
            state = [attention_hidden, attention_cell, hidden, cell];
        }
        // The output layer waits for no later step, so it runs once over all of them.
        let hidden = dropout(&ragged.join(&hiddens)?, self.dropout, train)?;
        let attention = Some(ragged.spread(&ragged.join(&attentions)?)?);
        let logits = ragged.spread(&self.output.forward(&hidden)?)?;
        Ok(Forced { logits, attention, choices: None })
    }

    /// Hidden and cell state of the attention LSTM, then of the language LSTM, all zero.
    fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        let mean = &memory.0[2];
        let shape = [mean.size2()?.0, self.hidden_size];
        let zeros = |_| Tensor::f_zeros(shape, (mean.f_kind()?, mean.device()));
        (0..4).map(zeros).collect::<Result<_, _>>().map(Rows)
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Result<Step, TchError> {
        let word = self.embedding.forward(words)?;
        let [attention_hidden, attention_cell, hidden, cell] = [0, 1, 2, 3].map(|index| &state.0[index]);
        let input = Tensor::f_cat(&[hidden, &memory.0[2], &word], 1)?;
        let (attention_hidden, attention_cell) =
            self.attention_lstm.step(&input, attention_hidden, attention_cell)?;
        // The rows of an image of `memory` follow one another.
        let images = memory.0[0].size3()?.0;
        let (shares, context) =
            self.look(memory, &attention_hidden.f_view([images, -1, self.hidden_size])?)?;
        let input = Tensor::f_cat(&[&context.f_flatten(0, 1)?, &attention_hidden], 1)?;
        let (hidden, cell) = self.language_lstm.step(&input, hidden, cell)?;
        Ok(Step {
            logits: self.output.forward(&hidden)?,
            state: Rows(vec![attention_hidden, attention_cell, hidden, cell]),
            attention: Some(shares.f_flatten(0, 1)?),
        })
    }
}
