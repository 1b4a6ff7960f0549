//! Top-down attention with two LSTMs: the first decides where to look, the second writes the word.
//!
//! Anderson et al. 2018, "Bottom-Up and Top-Down Attention" (<https://arxiv.org/abs/1707.07998>), section 3.2.
//! Deviations: the regions are the CNN's grid instead of detected objects, and are first projected to `feature_size`.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn};

use super::layers::{AdditiveAttention, Lstm, embedding, linear, mean_region};
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

    /// One step for all rows: `word [rows, embedding]`, `mean [rows, feature]`; the rows of an image of `memory` follow
    /// one another. Returns the state after it and the share on each region, `[rows, regions]`.
    fn advance(&self, memory: &Rows, mean: &Tensor, state: &Rows, word: &Tensor) -> (Rows, Tensor) {
        let [regions, keys] = [&memory.0[0], &memory.0[1]];
        let [attention_hidden, attention_cell, hidden, cell] = [0, 1, 2, 3].map(|index| &state.0[index]);
        let input = Tensor::cat(&[hidden, mean, word], 1);
        let (attention_hidden, attention_cell) =
            self.attention_lstm.step(&input, attention_hidden, attention_cell);
        let shares = self.attention.energies(keys, &attention_hidden).softmax(-1, Kind::Float);
        let context = shares.bmm(regions).flatten(0, 1);
        let input = Tensor::cat(&[&context, &attention_hidden], 1);
        let (hidden, cell) = self.language_lstm.step(&input, hidden, cell);
        (Rows(vec![attention_hidden, attention_cell, hidden, cell]), shares.flatten(0, 1))
    }
}

impl Decoder for UpDown {
    /// Regions `[rows, regions, feature]`, their keys `[rows, regions, attention]` and their mean `[rows, feature]`.
    fn encode(&self, grid: &Tensor, train: bool) -> Rows {
        let regions = grid.apply(&self.feature).relu().dropout(self.dropout, train);
        let keys = self.attention.keys(&regions);
        let mean = mean_region(&regions);
        Rows(vec![regions, keys, mean])
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Forced {
        let captions = words.size()[1];
        let words = words.flatten(0, 1).apply(&self.embedding).dropout(self.dropout, train);
        let of_caption = |tensor: &Tensor| tensor.repeat_interleave_self_int(captions, 0, None);
        let mean = of_caption(&memory.0[2]);
        let mut state = Rows(self.start(memory).0.iter().map(of_caption).collect());
        let (mut hiddens, mut attentions) = (vec![], vec![]);
        for word in words.unbind(1) {
            let (next, attention) = self.advance(memory, &mean, &state, &word);
            hiddens.push(next.0[2].shallow_clone());
            attentions.push(attention);
            state = next;
        }
        // The output layer waits for no later step, so it runs once over all of them.
        let logits = Tensor::stack(&hiddens, 1).dropout(self.dropout, train).apply(&self.output);
        Forced { logits, attention: Some(Tensor::stack(&attentions, 1)), choices: None }
    }

    /// Hidden and cell state of the attention LSTM, then of the language LSTM, all zero.
    fn start(&self, memory: &Rows) -> Rows {
        let mean = &memory.0[2];
        let zeros = || Tensor::zeros([mean.size()[0], self.hidden_size], (mean.kind(), mean.device()));
        Rows((0..4).map(|_| zeros()).collect())
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Step {
        let word = words.apply(&self.embedding);
        let (state, attention) = self.advance(memory, &memory.0[2], state, &word);
        Step { logits: state.0[2].apply(&self.output), state, attention: Some(attention) }
    }
}
