//! Top-down attention with two LSTMs: the first decides where to look, the second writes the word.
//!
//! Anderson et al. 2018, "Bottom-Up and Top-Down Attention" (<https://arxiv.org/abs/1707.07998>), section 3.2.
//! Deviations: the regions are the CNN's grid instead of detected objects, and are first projected to `feature_size`.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn};

use super::layers::{AdditiveAttention, Lstm, dropout, embedding, linear, mean_region};
use super::ragged::Ragged;
use super::{Decoder, Dimensions, Forced, Rows, Step};

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

#[derive(Debug)]
pub(super) struct UpDown {
    feature: nn::Linear,
    attention: AdditiveAttention,
    embedding: nn::Embedding,
    attention_lstm: Lstm,
    language_lstm: Lstm,
    output: nn::Linear,
    hidden_size: i64,
    dropout: f64,
}

impl UpDown {
    pub(super) fn new(path: &nn::Path, config: &UpDownConfig, dimensions: Dimensions) -> Self {
        let UpDownConfig { embedding_size, feature_size, hidden_size, attention_size, dropout } = *config;
        let attention_inputs = hidden_size + feature_size + embedding_size;
        UpDown {
            feature: linear(path / "feature", dimensions.channels, feature_size),
            attention: AdditiveAttention::new(path, feature_size, hidden_size, attention_size),
            embedding: embedding(path / "embedding", dimensions.vocabulary, embedding_size),
            attention_lstm: Lstm::new(path / "attention_lstm", attention_inputs, hidden_size),
            language_lstm: Lstm::new(path / "language_lstm", feature_size + hidden_size, hidden_size),
            output: linear(path / "output", hidden_size, dimensions.vocabulary),
            hidden_size,
            dropout,
        }
    }

    /// Shares on each region and the regions weighed with them, `[images, rows of each image, …]`, for the states
    /// `hidden [images, rows of each image, hidden]` of the attention LSTM.
    fn look(&self, memory: &Rows, hidden: &Tensor) -> (Tensor, Tensor) {
        let [regions, keys] = [&memory.0[0], &memory.0[1]];
        let shares = self.attention.energies(keys, hidden).softmax(-1, Kind::Float);
        let context = shares.bmm(regions);
        (shares, context)
    }
}

impl Decoder for UpDown {
    /// Regions `[rows, regions, feature]`, their keys `[rows, regions, attention]` and their mean `[rows, feature]`.
    fn encode(&self, grid: &Tensor, train: bool) -> Rows {
        let regions = dropout(&grid.apply(&self.feature).relu(), self.dropout, train);
        let keys = self.attention.keys(&regions);
        let mean = mean_region(&regions);
        Rows(vec![regions, keys, mean])
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Forced {
        let ragged = Ragged::new(words);
        let (images, captions) = (words.size()[0], words.size()[1]);
        let mean = memory.0[2].unsqueeze(1);
        let mean: Vec<Tensor> = ragged.left().map(|left| mean.expand([-1, left, -1], false)).collect();
        let words = dropout(&ragged.select(words).apply(&self.embedding), self.dropout, train);
        let known = Tensor::cat(&[&ragged.join(&mean), &words], 1);
        let attention_lstm = self.attention_lstm.unroll(&ragged, self.hidden_size, &known);
        // Nothing that this one reads is known ahead.
        let language_lstm = self.language_lstm.unroll(&ragged, 0, &words.narrow(1, 0, 0));
        let zeros = || Tensor::zeros([images, captions, self.hidden_size], (words.kind(), words.device()));
        let mut state = [zeros(), zeros(), zeros(), zeros()];
        let (mut hiddens, mut attentions) = (vec![], vec![]);
        for (step, left) in ragged.left().enumerate() {
            let [attention_hidden, attention_cell, hidden, cell] =
                state.map(|state| state.narrow(1, 0, left));
            let (attention_hidden, attention_cell) =
                attention_lstm.step(step, &hidden, &attention_hidden, &attention_cell);
            let (shares, context) = self.look(memory, &attention_hidden);
            let input = Tensor::cat(&[&context, &attention_hidden], 2);
            let (hidden, cell) = language_lstm.step(step, &input, &hidden, &cell);
            hiddens.push(hidden.shallow_clone());
            attentions.push(shares);
            state = [attention_hidden, attention_cell, hidden, cell];
        }
        // The output layer waits for no later step, so it runs once over all of them.
        let hidden = dropout(&ragged.join(&hiddens), self.dropout, train);
        let attention = Some(ragged.spread(&ragged.join(&attentions)));
        Forced { logits: ragged.spread(&hidden.apply(&self.output)), attention, choices: None }
    }

    /// Hidden and cell state of the attention LSTM, then of the language LSTM, all zero.
    fn start(&self, memory: &Rows) -> Rows {
        let mean = &memory.0[2];
        let zeros = || Tensor::zeros([mean.size()[0], self.hidden_size], (mean.kind(), mean.device()));
        Rows((0..4).map(|_| zeros()).collect())
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Step {
        let word = words.apply(&self.embedding);
        let [attention_hidden, attention_cell, hidden, cell] = [0, 1, 2, 3].map(|index| &state.0[index]);
        let input = Tensor::cat(&[hidden, &memory.0[2], &word], 1);
        let (attention_hidden, attention_cell) =
            self.attention_lstm.step(&input, attention_hidden, attention_cell);
        // The rows of an image of `memory` follow one another.
        let (shares, context) =
            self.look(memory, &attention_hidden.view([memory.0[0].size()[0], -1, self.hidden_size]));
        let input = Tensor::cat(&[&context.flatten(0, 1), &attention_hidden], 1);
        let (hidden, cell) = self.language_lstm.step(&input, hidden, cell);
        Step {
            logits: hidden.apply(&self.output),
            state: Rows(vec![attention_hidden, attention_cell, hidden, cell]),
            attention: Some(shares.flatten(0, 1)),
        }
    }
}
