//! Soft attention: an LSTM that looks at a weighted mean of the regions, weighted anew for every word.
//!
//! Xu et al. 2015, "Show, Attend and Tell" (<https://arxiv.org/abs/1502.03044>): Bahdanau attention, the gate β, the
//! deep output layer and the doubly stochastic penalty. Deviation: regions are first projected to `feature_size`, which
//! makes every step cheaper than attending over the CNN's own channels.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, nn};

use super::layers::{Lstm, embedding, linear, mean_region};
use super::{Decoder, Dimensions, Forced, Rows, Step};

/// Sizes of the `soft_attention` decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SoftAttentionConfig {
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
    /// Weight λ of the doubly stochastic penalty, which asks that every region be looked at.
    pub attention_penalty: f64,
}

impl Default for SoftAttentionConfig {
    fn default() -> Self {
        SoftAttentionConfig {
            embedding_size: 256,
            feature_size: 384,
            hidden_size: 384,
            attention_size: 128,
            dropout: 0.5,
            attention_penalty: 1.0,
        }
    }
}

#[derive(Debug)]
pub(super) struct SoftAttention {
    feature: nn::Linear,
    key: nn::Linear,
    query: nn::Linear,
    energy: nn::Linear,
    gate: nn::Linear,
    initial_hidden: nn::Linear,
    initial_cell: nn::Linear,
    embedding: nn::Embedding,
    lstm: Lstm,
    output_hidden: nn::Linear,
    output_context: nn::Linear,
    output: nn::Linear,
    dropout: f64,
    penalty: f64,
}

/// One look at each image for each of its rows (captions or beams).
struct Look {
    /// Share on each region: `[rows, regions]`.
    attention: Tensor,
    /// Gated weighted mean of the regions: `[rows, feature]`.
    context: Tensor,
}

impl SoftAttention {
    pub(super) fn new(path: &nn::Path, config: &SoftAttentionConfig, dimensions: Dimensions) -> Self {
        let SoftAttentionConfig { embedding_size, feature_size, hidden_size, attention_size, .. } = *config;
        SoftAttention {
            feature: linear(path / "feature", dimensions.channels, feature_size),
            key: linear(path / "key", feature_size, attention_size),
            query: linear(path / "query", hidden_size, attention_size),
            energy: linear(path / "energy", attention_size, 1),
            gate: linear(path / "gate", hidden_size, 1),
            initial_hidden: linear(path / "initial_hidden", feature_size, hidden_size),
            initial_cell: linear(path / "initial_cell", feature_size, hidden_size),
            embedding: embedding(path / "embedding", dimensions.vocabulary, embedding_size),
            lstm: Lstm::new(path / "lstm", embedding_size + feature_size, hidden_size),
            output_hidden: linear(path / "output_hidden", hidden_size, embedding_size),
            output_context: linear(path / "output_context", feature_size, embedding_size),
            output: linear(path / "output", embedding_size, dimensions.vocabulary),
            dropout: config.dropout,
            penalty: config.attention_penalty,
        }
    }

    /// Where to look before the next word, from the states `hidden [rows, hidden]`; `memory` has one row an image, and
    /// the rows of an image follow one another. Regions are read once an image, not once a row: at these sizes,
    /// memory traffic is what a look costs.
    fn look(&self, memory: &Rows, hidden: &Tensor) -> Look {
        let [regions, keys] = [&memory.0[0], &memory.0[1]];
        let images = regions.size()[0];
        let query = hidden.apply(&self.query).view([images, -1, 1, keys.size()[2]]);
        let energy = (keys.unsqueeze(1) + query).tanh_().apply(&self.energy).squeeze_dim(-1);
        let attention = energy.softmax(-1, Kind::Float);
        let mean = attention.bmm(regions).flatten(0, 1);
        let context = mean * hidden.apply(&self.gate).sigmoid();
        Look { attention: attention.flatten(0, 1), context }
    }

    /// The deep output layer (equation 7 of the paper, with the tanh of its code): any leading dimensions.
    fn score(&self, word: &Tensor, hidden: &Tensor, context: &Tensor, train: bool) -> Tensor {
        let hidden = hidden.dropout(self.dropout, train).apply(&self.output_hidden);
        let joined = (word + hidden + context.apply(&self.output_context)).tanh();
        joined.dropout(self.dropout, train).apply(&self.output)
    }
}

impl Decoder for SoftAttention {
    /// Regions `[rows, regions, feature]` and their keys `[rows, regions, attention]`.
    fn encode(&self, grid: &Tensor, train: bool) -> Rows {
        let regions = grid.apply(&self.feature).relu().dropout(self.dropout, train);
        let keys = regions.apply(&self.key);
        Rows(vec![regions, keys])
    }

    fn forward(&self, memory: &Rows, words: &Tensor, train: bool) -> Forced {
        let captions = words.size()[1];
        let words = words.flatten(0, 1).apply(&self.embedding).dropout(self.dropout, train);
        let start = self.start(memory).0.into_iter();
        let mut state =
            Rows(start.map(|state| state.repeat_interleave_self_int(captions, 0, None)).collect());
        let (mut hiddens, mut contexts, mut attentions) = (vec![], vec![], vec![]);
        for word in words.unbind(1) {
            let look = self.look(memory, &state.0[0]);
            let input = Tensor::cat(&[&word, &look.context], 1);
            let (hidden, cell) = self.lstm.step(&input, &state.0[0], &state.0[1]);
            hiddens.push(hidden.shallow_clone());
            contexts.push(look.context);
            attentions.push(look.attention);
            state = Rows(vec![hidden, cell]);
        }
        // The output layer waits for no later step, so it runs once over all of them.
        let logits = self.score(&words, &Tensor::stack(&hiddens, 1), &Tensor::stack(&contexts, 1), train);
        Forced { logits, attention: Some(Tensor::stack(&attentions, 1)) }
    }

    fn start(&self, memory: &Rows) -> Rows {
        let mean = mean_region(&memory.0[0]);
        Rows(vec![mean.apply(&self.initial_hidden).tanh(), mean.apply(&self.initial_cell).tanh()])
    }

    fn step(&self, memory: &Rows, state: &Rows, words: &Tensor) -> Step {
        let word = words.apply(&self.embedding);
        let look = self.look(memory, &state.0[0]);
        let input = Tensor::cat(&[&word, &look.context], 1);
        let (hidden, cell) = self.lstm.step(&input, &state.0[0], &state.0[1]);
        let logits = self.score(&word, &hidden, &look.context, false);
        Step { logits, state: Rows(vec![hidden, cell]), attention: Some(look.attention) }
    }

    /// λ · mean over captions and regions of (1 − Σₜ αₜ)² (equation 14 of the paper, as a mean so that λ does not
    /// depend on the grid). Captions without any word are padding and do not count.
    fn attention_loss(&self, attention: &Tensor, mask: &Tensor) -> Option<Tensor> {
        let looked = (attention * mask.unsqueeze(-1)).sum_dim_intlist([1i64].as_slice(), false, Kind::Float);
        let miss = (looked - 1.0).square().mean_dim([1i64].as_slice(), false, Kind::Float);
        let is_caption = mask.amax([1i64].as_slice(), false);
        Some((miss * &is_caption).sum(Kind::Float) / is_caption.sum(Kind::Float) * self.penalty)
    }
}
