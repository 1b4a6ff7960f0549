//! The LSTM layer of the recurrent decoders.

use tch::{TchError, Tensor};

use super::ragged::Ragged;
use super::steps::Steps;
use crate::native;
use crate::precision::Precision;

/// One LSTM layer that runs over a sequence or a step at a time.
#[derive(Debug)]
pub(super) struct Lstm<'a> {
    /// For the input and for the hidden state, and the biases of both.
    pub(super) weights: [&'a Tensor; 4],
    /// What the factors of its products are rounded to.
    pub(super) precision: Precision,
}

impl Lstm<'_> {
    /// One step: `input [rows, inputs]`, hidden and cell state `[rows, hidden]` → the next two.
    pub(super) fn step(
        &self,
        input: &Tensor,
        hidden: &Tensor,
        cell: &Tensor,
    ) -> Result<(Tensor, Tensor), TchError> {
        let [w_ih, w_hh, b_ih, b_hh] = self.weights;
        gates(
            &native::linear(input, w_ih, Some(b_ih), self.precision)?,
            &native::linear(hidden, w_hh, Some(b_hh), self.precision)?,
            cell,
        )
    }

    /// The layer for a run over the steps of `ragged`, where `known [places, size]` are the inputs that wait for no
    /// earlier step: those from column `first` of the weights on.
    pub(super) fn unroll(&self, ragged: &Ragged, first: i64, known: &Tensor) -> Result<Unrolled, TchError> {
        let [w_ih, w_hh, b_ih, b_hh] = self.weights;
        let (_, size) = known.size2()?;
        let (_, inputs) = w_ih.size2()?;
        // One split: of three slices each would have a gradient of the size of the whole.
        let split = w_ih.f_split_with_sizes([first, size, inputs - first - size], 1)?;
        let known = native::linear(known, &split[1], Some(&b_ih.f_add(b_hh)?), self.precision)?;
        Ok(Unrolled {
            known: ragged.steps(&known)?,
            weight: Tensor::f_cat(&[&split[0], &split[2], w_hh], 1)?,
            precision: self.precision,
        })
    }

    /// A whole sequence by the fused kernel: `inputs [rows, steps, inputs]` → hidden states `[rows, steps, hidden]`.
    pub(super) fn sequence(
        &self,
        inputs: &Tensor,
        hidden: &Tensor,
        cell: &Tensor,
    ) -> Result<Tensor, TchError> {
        let state = [&hidden.f_unsqueeze(0)?, &cell.f_unsqueeze(0)?];
        Ok(inputs.f_lstm(&state, &self.weights, true, 1, 0.0, false, false, true)?.0)
    }
}

/// An LSTM layer whose inputs are partly known ahead: those are multiplied for all steps at once, and the others with
/// the state, so that a step is a single product.
pub(super) struct Unrolled {
    /// What the known inputs add to the gates at each step, `[images, captions that are left, 4 × hidden]`.
    known: Vec<Tensor>,
    /// Of the other inputs and the hidden state: `[4 × hidden, others + hidden]`.
    weight: Tensor,
    precision: Precision,
}

impl Unrolled {
    /// Step number `step` of `steps`: the other inputs `[images, captions that are left, others]`, hidden and cell state
    /// `[images, captions that are left, hidden]` → the next two.
    pub(super) fn step(
        &self,
        steps: &Steps,
        step: usize,
        others: &[&Tensor],
        cell: &Tensor,
    ) -> Result<(Tensor, Tensor), TchError> {
        let product = steps.linear(&Tensor::f_cat(others, 2)?, &self.weight, self.precision)?;
        gates(&product, &self.known[step], cell)
    }
}

/// From two addends `[…, 4 × hidden]` of the gates in the order input, forget, cell, output, and the cell state `[…, hidden]` to the next
/// hidden and cell state.
fn gates(product: &Tensor, known: &Tensor, cell: &Tensor) -> Result<(Tensor, Tensor), TchError> {
    if native::is_for(product)? {
        return native::gates(product, known, cell);
    }
    let gates = product.f_add(known)?.f_chunk(4, -1)?;
    let kept = gates[1].f_sigmoid()?.f_mul(cell)?;
    let cell = kept.f_add(&gates[0].f_sigmoid()?.f_mul(&gates[2].f_tanh()?)?)?;
    Ok((gates[3].f_sigmoid()?.f_mul(&cell.f_tanh()?)?, cell))
}
