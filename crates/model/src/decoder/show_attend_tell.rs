//! The network of Xu et al. 2015, "Show, Attend and Tell" (<https://arxiv.org/abs/1502.03044>), which soft and hard
//! attention share: they differ only in how the scores of the regions become weights.
//!
//! Bahdanau attention, the gate β and the deep output layer. Deviation: regions are first projected to `feature`
//! numbers, which makes every step cheaper than attending over the CNN's own channels.

use tch::{Tensor, nn};

use super::layers::{AdditiveAttention, Lstm, dropout, embedding, linear, mean_region};
use super::ragged::Ragged;
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
    /// Share on each region: `[images, rows of each image, regions]`.
    attention: Tensor,
    /// Gated weighted sum of the regions: `[images, rows of each image, feature]`.
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
        let regions = dropout(&grid.apply(&self.feature).relu(), self.dropout, train);
        let keys = self.attention.keys(&regions);
        Rows(vec![regions, keys])
    }

    /// Hidden and cell state.
    pub(super) fn start(&self, memory: &Rows) -> Rows {
        Rows(self.state(memory).into())
    }

    fn state(&self, memory: &Rows) -> [Tensor; 2] {
        let mean = mean_region(&memory.0[0]);
        [&self.initial_hidden, &self.initial_cell].map(|initial| mean.apply(initial).tanh())
    }

    /// Teacher forcing over `words [images, captions, steps]`; `weigh` makes shares of the regions' scores, both
    /// `[images, captions that are left, regions]`, at every step of [`Ragged`].
    pub(super) fn forward(
        &self,
        memory: &Rows,
        words: &Tensor,
        train: bool,
        mut weigh: impl FnMut(&Tensor) -> Tensor,
    ) -> Forced {
        let ragged = Ragged::new(words);
        let captions = words.size()[1];
        let words = dropout(&ragged.select(words).apply(&self.embedding), self.dropout, train);
        let lstm = self.lstm.unroll(&ragged, 0, &words);
        let of_captions = |state: Tensor| state.unsqueeze(1).expand([-1, captions, -1], false);
        let [mut hidden, mut cell] = self.state(memory).map(of_captions);
        let (mut hiddens, mut contexts, mut attentions) = (vec![], vec![], vec![]);
        for (step, left) in ragged.left().enumerate() {
            (hidden, cell) = (hidden.narrow(1, 0, left), cell.narrow(1, 0, left));
            let look = self.look(memory, &hidden, &mut weigh);
            (hidden, cell) = lstm.step(step, &look.context, &hidden, &cell);
            hiddens.push(hidden.shallow_clone());
            contexts.push(look.context);
            attentions.push(look.attention);
        }
        // The output layer waits for no later step, so it runs once over all of them.
        let [hidden, context, attention] = [hiddens, contexts, attentions].map(|steps| ragged.join(&steps));
        let logits = self.score(&words, &hidden, &context, train);
        let attention = Some(ragged.spread(&attention));
        Forced { logits: ragged.spread(&logits), attention, choices: None }
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
        // The rows of an image of `memory` follow one another.
        let hidden = state.0[0].view([memory.0[0].size()[0], -1, state.0[0].size()[1]]);
        let look = self.look(memory, &hidden, &mut weigh);
        let context = look.context.flatten(0, 1);
        let input = Tensor::cat(&[&word, &context], 1);
        let (hidden, cell) = self.lstm.step(&input, &state.0[0], &state.0[1]);
        let logits = self.score(&word, &hidden, &context, false);
        let attention = Some(look.attention.flatten(0, 1));
        Step { logits, state: Rows(vec![hidden, cell]), attention }
    }

    /// Where to look before the next word, from the states `hidden [images, rows of each image, hidden]`.
    fn look(&self, memory: &Rows, hidden: &Tensor, weigh: &mut impl FnMut(&Tensor) -> Tensor) -> Look {
        let [regions, keys] = [&memory.0[0], &memory.0[1]];
        let attention = weigh(&self.attention.energies(keys, hidden));
        let context = attention.bmm(regions) * hidden.apply(&self.gate).sigmoid();
        Look { attention, context }
    }

    /// The deep output layer (equation 7 of the paper, with the tanh of its code): any leading dimensions.
    fn score(&self, word: &Tensor, hidden: &Tensor, context: &Tensor, train: bool) -> Tensor {
        let hidden = dropout(hidden, self.dropout, train).apply(&self.output_hidden);
        let joined = (word + hidden + context.apply(&self.output_context)).tanh();
        dropout(&joined, self.dropout, train).apply(&self.output)
    }
}
