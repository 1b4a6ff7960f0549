//! The network of Xu et al. 2015, "Show, Attend and Tell" (<https://arxiv.org/abs/1502.03044>), which soft and hard
//! attention share: they differ only in how the scores of the regions become weights.
//!
//! Bahdanau attention, the gate β and the deep output layer. Deviation: regions are first projected to `feature`
//! numbers, which makes every step cheaper than attending over the CNN's own channels.

use tch::{TchError, Tensor};

use super::layers::{AdditiveAttention, Embedding, Linear, dropout, mean_region};
use super::parameters::{BuildError, Parameters};
use super::ragged::Ragged;
use super::recurrent::Lstm;
use super::{Dimensions, Forced, Rows, Step};
use crate::precision::Precision;

/// Sizes of the network.
pub(super) struct Sizes {
    pub(super) embedding: i64,
    pub(super) feature: i64,
    pub(super) hidden: i64,
    pub(super) attention: i64,
}

#[derive(Debug)]
pub(super) struct ShowAttendTell {
    feature: Linear,
    attention: AdditiveAttention,
    gate: Linear,
    initial_hidden: Linear,
    initial_cell: Linear,
    embedding: Embedding,
    lstm: Lstm,
    output_hidden: Linear,
    output_context: Linear,
    output: Linear,
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
    pub(super) fn new(
        parameters: &Parameters,
        sizes: &Sizes,
        dropout: f64,
        dimensions: Dimensions,
        precision: Precision,
    ) -> Result<Self, BuildError> {
        let Sizes { embedding: words, feature, hidden, attention } = *sizes;
        Ok(ShowAttendTell {
            feature: Linear::new(parameters / "feature", dimensions.channels, feature)?,
            attention: AdditiveAttention::new(parameters, feature, hidden, attention)?,
            gate: Linear::new(parameters / "gate", hidden, 1)?,
            initial_hidden: Linear::new(parameters / "initial_hidden", feature, hidden)?,
            initial_cell: Linear::new(parameters / "initial_cell", feature, hidden)?,
            embedding: Embedding::new(parameters / "embedding", dimensions.vocabulary, words)?,
            lstm: Lstm::new(parameters / "lstm", words + feature, hidden, precision)?,
            output_hidden: Linear::new(parameters / "output_hidden", hidden, words)?,
            output_context: Linear::new(parameters / "output_context", feature, words)?,
            output: Linear::new(parameters.by_word() / "output", words, dimensions.vocabulary)?,
            dropout,
        })
    }

    /// Regions `[rows, regions, feature]` and their keys `[rows, regions, attention]`.
    pub(super) fn encode(&self, grid: &Tensor, train: bool) -> Result<Rows, TchError> {
        let regions = dropout(&self.feature.forward(grid)?.f_relu()?, self.dropout, train)?;
        let keys = self.attention.keys(&regions)?;
        Ok(Rows(vec![regions, keys]))
    }

    /// Hidden and cell state.
    pub(super) fn start(&self, memory: &Rows) -> Result<Rows, TchError> {
        Ok(Rows(self.state(memory)?.into()))
    }

    fn state(&self, memory: &Rows) -> Result<[Tensor; 2], TchError> {
        let mean = mean_region(&memory.0[0])?;
        let initial = |layer: &Linear| layer.forward(&mean)?.f_tanh();
        Ok([initial(&self.initial_hidden)?, initial(&self.initial_cell)?])
    }

    /// Teacher forcing over `words [images, captions, steps]`; `weigh` makes shares of the regions' scores, both
    /// `[images, captions that are left, regions]`, at every step of [`Ragged`].
    pub(super) fn forward(
        &self,
        memory: &Rows,
        words: &Tensor,
        train: bool,
        mut weigh: impl FnMut(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Forced, TchError> {
        let ragged = Ragged::new(words)?;
        let (_, captions, _) = words.size3()?;
        let words = dropout(&self.embedding.forward(&ragged.select(words)?)?, self.dropout, train)?;
        let lstm = self.lstm.unroll(&ragged, 0, &words)?;
        let of_captions = |state: Tensor| state.f_unsqueeze(1)?.f_expand([-1, captions, -1], false);
        let [hidden, cell] = self.state(memory)?;
        let (mut hidden, mut cell) = (of_captions(hidden)?, of_captions(cell)?);
        let (mut hiddens, mut contexts, mut attentions) = (vec![], vec![], vec![]);
        for (step, left) in ragged.left().enumerate() {
            (hidden, cell) = (hidden.f_narrow(1, 0, left)?, cell.f_narrow(1, 0, left)?);
            let look = self.look(memory, &hidden, &mut weigh)?;
            (hidden, cell) = lstm.step(step, &look.context, &hidden, &cell)?;
            hiddens.push(hidden.shallow_clone());
            contexts.push(look.context);
            attentions.push(look.attention);
        }
        // The output layer waits for no later step, so it runs once over all of them.
        let (hidden, context) = (ragged.join(&hiddens)?, ragged.join(&contexts)?);
        let attention = ragged.join(&attentions)?;
        let logits = self.score(&words, &hidden, &context, train)?;
        let attention = Some(ragged.spread(&attention)?);
        Ok(Forced { logits: ragged.spread(&logits)?, attention, choices: None })
    }

    /// One word per row; `weigh` as in [`ShowAttendTell::forward`].
    pub(super) fn step(
        &self,
        memory: &Rows,
        state: &Rows,
        words: &Tensor,
        mut weigh: impl FnMut(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Step, TchError> {
        let word = self.embedding.forward(words)?;
        // The rows of an image of `memory` follow one another.
        let (images, (_, size)) = (memory.0[0].size3()?.0, state.0[0].size2()?);
        let look = self.look(memory, &state.0[0].f_view([images, -1, size])?, &mut weigh)?;
        let context = look.context.f_flatten(0, 1)?;
        let input = Tensor::f_cat(&[&word, &context], 1)?;
        let (hidden, cell) = self.lstm.step(&input, &state.0[0], &state.0[1])?;
        let logits = self.score(&word, &hidden, &context, false)?;
        let attention = Some(look.attention.f_flatten(0, 1)?);
        Ok(Step { logits, state: Rows(vec![hidden, cell]), attention })
    }

    /// Where to look before the next word, from the states `hidden [images, rows of each image, hidden]`.
    fn look(
        &self,
        memory: &Rows,
        hidden: &Tensor,
        weigh: &mut impl FnMut(&Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Look, TchError> {
        let [regions, keys] = [&memory.0[0], &memory.0[1]];
        let attention = weigh(&self.attention.energies(keys, hidden)?)?;
        let context = attention.f_bmm(regions)?.f_mul(&self.gate.forward(hidden)?.f_sigmoid()?)?;
        Ok(Look { attention, context })
    }

    /// The deep output layer (equation 7 of the paper, with the tanh of its code): any leading dimensions.
    fn score(
        &self,
        word: &Tensor,
        hidden: &Tensor,
        context: &Tensor,
        train: bool,
    ) -> Result<Tensor, TchError> {
        let hidden = self.output_hidden.forward(&dropout(hidden, self.dropout, train)?)?;
        let joined = word.f_add(&hidden)?.f_add(&self.output_context.forward(context)?)?.f_tanh()?;
        self.output.forward(&dropout(&joined, self.dropout, train)?)
    }
}
