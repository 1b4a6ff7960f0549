//! The LSTM layer of the recurrent decoders.

use tch::{Kind, TchError, Tensor};

use super::ragged::Ragged;
use crate::precision::Precision;

/// One LSTM layer that runs over a sequence or a step at a time: its weights for the input and for the hidden state, and the
/// biases of both.
#[derive(Debug)]
pub(super) struct Lstm<'a>(pub(super) [&'a Tensor; 4]);

impl Lstm<'_> {
    /// One step: `input [rows, inputs]`, hidden and cell state `[rows, hidden]` → the next two.
    pub(super) fn step(
        &self,
        input: &Tensor,
        hidden: &Tensor,
        cell: &Tensor,
    ) -> Result<(Tensor, Tensor), TchError> {
        let [w_ih, w_hh, b_ih, b_hh] = self.0;
        input.f_lstm_cell(&[hidden, cell], w_ih, w_hh, Some(b_ih), Some(b_hh))
    }

    /// The layer for a run over the steps of `ragged`, where `known [places, size]` are the inputs that wait for no
    /// earlier step: those from column `first` of the weights on.
    ///
    /// Where products round their factors, libtorch would round the weights anew at every step: they are rounded once, to
    /// `precision`.
    pub(super) fn unroll(
        &self,
        ragged: &Ragged,
        first: i64,
        known: &Tensor,
        precision: Precision,
    ) -> Result<Unrolled, TchError> {
        let [w_ih, w_hh, b_ih, b_hh] = self.0;
        let (_, size) = known.size2()?;
        let (_, inputs) = w_ih.size2()?;
        let after = first + size;
        let known = known.f_linear(&w_ih.f_narrow(1, first, size)?, Some(b_ih.f_add(b_hh)?))?;
        let known = ragged.steps(&known)?;
        let others = [&w_ih.f_narrow(1, 0, first)?, &w_ih.f_narrow(1, after, inputs - after)?, w_hh];
        let weight = Tensor::f_cat(&others, 1)?.f_to_kind(precision.kind())?;
        Ok(Unrolled { known, weight })
    }

    /// A whole sequence by the fused kernel: `inputs [rows, steps, inputs]` → hidden states `[rows, steps, hidden]`.
    pub(super) fn sequence(
        &self,
        inputs: &Tensor,
        hidden: &Tensor,
        cell: &Tensor,
    ) -> Result<Tensor, TchError> {
        let state = [&hidden.f_unsqueeze(0)?, &cell.f_unsqueeze(0)?];
        Ok(inputs.f_lstm(&state, &self.0, true, 1, 0.0, false, false, true)?.0)
    }
}

/// An LSTM layer whose inputs are partly known ahead: those are multiplied for all steps at once, and the others with
/// the state, so that a step is a single product.
pub(super) struct Unrolled {
    /// What the known inputs add to the gates at each step, `[images, captions that are left, 4 × hidden]`.
    known: Vec<Tensor>,
    /// Of the other inputs and the hidden state: `[4 × hidden, others + hidden]`.
    weight: Tensor,
}

impl Unrolled {
    /// Step number `step`: the other inputs `[images, captions that are left, others]`, hidden and cell state
    /// `[images, captions that are left, hidden]` → the next two.
    pub(super) fn step(
        &self,
        step: usize,
        others: &Tensor,
        hidden: &Tensor,
        cell: &Tensor,
    ) -> Result<(Tensor, Tensor), TchError> {
        let input = Tensor::f_cat(&[others, hidden], 2)?.f_to_kind(self.weight.f_kind()?)?;
        let gates = input.f_linear(&self.weight, None::<Tensor>)?;
        let gates = gates.f_to_kind(Kind::Float)?.f_add(&self.known[step])?.f_chunk(4, 2)?;
        let kept = gates[1].f_sigmoid()?.f_mul(cell)?;
        let cell = kept.f_add(&gates[0].f_sigmoid()?.f_mul(&gates[2].f_tanh()?)?)?;
        Ok((gates[3].f_sigmoid()?.f_mul(&cell.f_tanh()?)?, cell))
    }
}
