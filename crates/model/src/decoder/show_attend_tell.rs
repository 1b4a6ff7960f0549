//! The network of Xu et al. 2015, "Show, Attend and Tell" (<https://arxiv.org/abs/1502.03044>), which soft and hard
//! attention share: they differ only in how the scores of the regions become weights.
//!
//! Bahdanau attention, the gate β and the deep output layer. Deviation: regions are first projected to `feature`
//! numbers, which makes every step cheaper than attending over the CNN's own channels.

use tch::{Tensor, nn};

use super::layers::{AdditiveAttention, Lstm, embedding, linear, mean_region};
use super::{Dimensions, Forced, Rows, Step};

/// Sizes of the network.
pub(super) struct Sizes {
    pub(super) embedding: i64,
    pub(super) feature: i64,
    pub(super) hidden: i64,
    pub(super) attention: i64,
}

#[derive(Debug)]
pub(super) struct ShowAttendTell {
    feature: nn::Linear,
    attention: AdditiveAttention,
    gate: nn::Linear,
    initial_hidden: nn::Linear,
    initial_cell: nn::Linear,
    embedding: nn::Embedding,
    lstm: Lstm,
    output_hidden: nn::Linear,
    output_context: nn::Linear,
    output: nn::Linear,
    dropout: f64,
}

/// One look at each image for each of its rows (captions or beams).
struct Look {
    /// Share on each region: `[rows, regions]`.
    attention: Tensor,
    /// Gated weighted sum of the regions: `[rows, feature]`.
    context: Tensor,
}

impl ShowAttendTell {
    pub(super) fn new(path: &nn::Path, sizes: &Sizes, dropout: f64, dimensions: Dimensions) -> Self {
        let Sizes { embedding: words, feature, hidden, attention } = *sizes;
        ShowAttendTell {
            feature: linear(path / "feature", dimensions.channels, feature),
            attention: AdditiveAttention::new(path, feature, hidden, attention),
            gate: linear(path / "gate", hidden, 1),
            initial_hidden: linear(path / "initial_hidden", feature, hidden),
            initial_cell: linear(path / "initial_cell", feature, hidden),
            embedding: embedding(path / "embedding", dimensions.vocabulary, words),
            lstm: Lstm::new(path / "lstm", words + feature, hidden),
            output_hidden: linear(path / "output_hidden", hidden, words),
            output_context: linear(path / "output_context", feature, words),
            output: linear(path / "output", words, dimensions.vocabulary),
            dropout,
        }
    }

    /// Regions `[rows, regions, feature]` and their keys `[rows, regions, attention]`.
    pub(super) fn encode(&self, grid: &Tensor, train: bool) -> Rows {
        let regions = grid.apply(&self.feature).relu().dropout(self.dropout, train);
        let keys = self.attention.keys(&regions);
        Rows(vec![regions, keys])
    }

    /// Hidden and cell state.
    pub(super) fn start(&self, memory: &Rows) -> Rows {
        let mean = mean_region(&memory.0[0]);
        Rows(vec![mean.apply(&self.initial_hidden).tanh(), mean.apply(&self.initial_cell).tanh()])
    }

    /// Teacher forcing over `words [images, captions, steps]`; `weigh` makes shares of the regions' scores, both
    /// `[images, captions, regions]`, at every step.
    pub(super) fn forward(
        &self,
        memory: &Rows,
        words: &Tensor,
        train: bool,
        mut weigh: impl FnMut(&Tensor) -> Tensor,
    ) -> Forced {
        let captions = words.size()[1];
        let words = words.flatten(0, 1).apply(&self.embedding).dropout(self.dropout, train);
        let start = self.start(memory).0.into_iter();
        let mut state =
            Rows(start.map(|state| state.repeat_interleave_self_int(captions, 0, None)).collect());
        let (mut hiddens, mut contexts, mut attentions) = (vec![], vec![], vec![]);
        for word in words.unbind(1) {
            let look = self.look(memory, &state.0[0], &mut weigh);
            let input = Tensor::cat(&[&word, &look.context], 1);
            let (hidden, cell) = self.lstm.step(&input, &state.0[0], &state.0[1]);
            hiddens.push(hidden.shallow_clone());
            contexts.push(look.context);
            attentions.push(look.attention);
            state = Rows(vec![hidden, cell]);
        }
        // The output layer waits for no later step, so it runs once over all of them.
        let logits = self.score(&words, &Tensor::stack(&hiddens, 1), &Tensor::stack(&contexts, 1), train);
        Forced { logits, attention: Some(Tensor::stack(&attentions, 1)), choices: None }
    }

    /// One word a row; `weigh` as in [`ShowAttendTell::forward`].
    pub(super) fn step(
        &self,
        memory: &Rows,
        state: &Rows,
        words: &Tensor,
        mut weigh: impl FnMut(&Tensor) -> Tensor,
    ) -> Step {
        let word = words.apply(&self.embedding);
        let look = self.look(memory, &state.0[0], &mut weigh);
        let input = Tensor::cat(&[&word, &look.context], 1);
        let (hidden, cell) = self.lstm.step(&input, &state.0[0], &state.0[1]);
        let logits = self.score(&word, &hidden, &look.context, false);
        Step { logits, state: Rows(vec![hidden, cell]), attention: Some(look.attention) }
    }

    /// Where to look before the next word, from the states `hidden [rows, hidden]`; `memory` has one row an image, and
    /// the rows of an image follow one another.
    fn look(&self, memory: &Rows, hidden: &Tensor, weigh: &mut impl FnMut(&Tensor) -> Tensor) -> Look {
        let [regions, keys] = [&memory.0[0], &memory.0[1]];
        let attention = weigh(&self.attention.energies(keys, hidden));
        let sum = attention.bmm(regions).flatten(0, 1);
        let context = sum * hidden.apply(&self.gate).sigmoid();
        Look { attention: attention.flatten(0, 1), context }
    }

    /// The deep output layer (equation 7 of the paper, with the tanh of its code): any leading dimensions.
    fn score(&self, word: &Tensor, hidden: &Tensor, context: &Tensor, train: bool) -> Tensor {
        let hidden = hidden.dropout(self.dropout, train).apply(&self.output_hidden);
        let joined = (word + hidden + context.apply(&self.output_context)).tanh();
        joined.dropout(self.dropout, train).apply(&self.output)
    }
}
