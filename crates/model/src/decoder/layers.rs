//! Layers that several decoders use.

use tch::nn::{self, Init};
use tch::{Kind, Tensor};

use super::ragged::Ragged;
use crate::matmul;

/// A linear layer with PyTorch's default initialisation, uniform in ±1/√inputs.
pub(super) fn linear(path: nn::Path, inputs: i64, outputs: i64) -> nn::Linear {
    nn::linear(path, inputs, outputs, nn::LinearConfig::default())
}

/// Word vectors, drawn from a normal distribution of standard deviation 1/√size.
pub(super) fn embedding(path: nn::Path, words: i64, size: i64) -> nn::Embedding {
    let stdev = 1.0 / (size as f64).sqrt();
    let ws_init = Init::Randn { mean: 0.0, stdev };
    nn::embedding(path, words, size, nn::EmbeddingConfig { ws_init, ..Default::default() })
}

/// Zeroes a share of the numbers, drawn anew from libtorch's generator, and scales the others so that means stay.
///
/// One random byte decides for a number, so shares are multiples of 1/256: libtorch's own dropout draws one number after
/// another, which at these sizes took a fifth of a training step.
pub(super) fn dropout(x: &Tensor, share: f64, train: bool) -> Tensor {
    let bound = (share * 256.0).round().min(255.0);
    if !train || bound == 0.0 {
        return x.shallow_clone();
    }
    let count = x.numel() as i64;
    let bytes = Tensor::empty([(count + 7) / 8], (Kind::Int64, x.device())).random_from_(i64::MIN, None);
    let kept = bytes.view_dtype(Kind::Uint8).narrow(0, 0, count).view_as(x).ge(bound);
    x * kept.to_kind(x.kind()).g_mul_scalar_(256.0 / (256.0 - bound))
}

/// One LSTM layer (Hochreiter and Schmidhuber 1997) that runs over a sequence or a step at a time.
#[derive(Debug)]
pub(super) struct Lstm {
    weights: [Tensor; 4],
}

impl Lstm {
    pub(super) fn new(path: nn::Path, inputs: i64, hidden: i64) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        let uniform =
            |name: &str, dims: &[i64]| path.var(name, dims, Init::Uniform { lo: -bound, up: bound });
        let weights = [
            uniform("weight_ih", &[4 * hidden, inputs]),
            uniform("weight_hh", &[4 * hidden, hidden]),
            uniform("bias_ih", &[4 * hidden]),
            uniform("bias_hh", &[4 * hidden]),
        ];
        Lstm { weights }
    }

    /// One step: `input [rows, inputs]`, hidden and cell state `[rows, hidden]` → the next two.
    pub(super) fn step(&self, input: &Tensor, hidden: &Tensor, cell: &Tensor) -> (Tensor, Tensor) {
        let [w_ih, w_hh, b_ih, b_hh] = &self.weights;
        input.lstm_cell(&[hidden, cell], w_ih, w_hh, Some(b_ih), Some(b_hh))
    }

    /// The layer for a run over the steps of `ragged`, where `known [places, size]` are the inputs that wait for no
    /// earlier step: those from column `first` of the weights on.
    pub(super) fn unroll(&self, ragged: &Ragged, first: i64, known: &Tensor) -> Unrolled {
        let [w_ih, w_hh, b_ih, b_hh] = &self.weights;
        let size = known.size()[1];
        let after = first + size;
        let known = ragged.steps(&known.linear(&w_ih.narrow(1, first, size), Some(b_ih + b_hh)));
        let weight = Tensor::cat(
            &[&w_ih.narrow(1, 0, first), &w_ih.narrow(1, after, w_ih.size()[1] - after), w_hh],
            1,
        );
        Unrolled { known, weight: weight.to_kind(matmul::factor_kind()) }
    }

    /// A whole sequence by the fused kernel: `inputs [rows, steps, inputs]` → hidden states `[rows, steps, hidden]`.
    pub(super) fn sequence(&self, inputs: &Tensor, hidden: &Tensor, cell: &Tensor) -> Tensor {
        let state = [hidden.unsqueeze(0), cell.unsqueeze(0)];
        let state: Vec<&Tensor> = state.iter().collect();
        let weights: Vec<&Tensor> = self.weights.iter().collect();
        inputs.lstm(&state, &weights, true, 1, 0.0, false, false, true).0
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
    ) -> (Tensor, Tensor) {
        let input = Tensor::cat(&[others, hidden], 2).to_kind(self.weight.kind());
        let gates = input.linear(&self.weight, None::<Tensor>).to_kind(Kind::Float) + &self.known[step];
        let gates = gates.chunk(4, 2);
        let cell = gates[1].sigmoid() * cell + gates[0].sigmoid() * gates[2].tanh();
        (gates[3].sigmoid() * cell.tanh(), cell)
    }
}

/// Additive attention (Bahdanau et al. 2015, <https://arxiv.org/abs/1409.0473>): wᵀ tanh(key + query).
#[derive(Debug)]
pub(super) struct AdditiveAttention {
    key: nn::Linear,
    query: nn::Linear,
    energy: nn::Linear,
}

impl AdditiveAttention {
    /// Compares regions of `feature` numbers with states of `hidden` numbers in a space of `attention` numbers.
    pub(super) fn new(path: &nn::Path, feature: i64, hidden: i64, attention: i64) -> Self {
        AdditiveAttention {
            key: linear(path / "key", feature, attention),
            query: linear(path / "query", hidden, attention),
            energy: linear(path / "energy", attention, 1),
        }
    }

    /// Twice what regions `[images, regions, feature]` are compared by, computed once: `[images, regions, attention]`.
    pub(super) fn keys(&self, regions: &Tensor) -> Tensor {
        regions.apply(&self.key) * 2.0
    }

    /// Scores of the regions before softmax, `[images, rows of each image, regions]`, for the states
    /// `hidden [images, rows of each image, hidden]`. Keys are read once an image, not once a
    /// row: at these sizes, memory traffic is what a look costs.
    ///
    /// As tanh z = 2σ(2z) − 1, they are 2wᵀ σ(2 key + 2 query) but for a number that is the same for all regions, which no
    /// softmax sees; libtorch computes σ several times as fast as tanh.
    pub(super) fn energies(&self, keys: &Tensor, hidden: &Tensor) -> Tensor {
        let query = (hidden.apply(&self.query) * 2.0).unsqueeze(2);
        let weights = &self.energy.ws * 2.0;
        (keys.unsqueeze(1) + query).sigmoid_().linear(&weights, None::<Tensor>).squeeze_dim(-1)
    }
}

/// Mean over the regions: `[rows, regions, size]` → `[rows, size]`.
pub(super) fn mean_region(grid: &Tensor) -> Tensor {
    grid.mean_dim([1i64].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn dropout_zeroes_its_share_and_keeps_the_mean() {
        tch::manual_seed(1);
        let x = Tensor::ones([1001, 101], (Kind::Float, Device::Cpu));
        for share in [0.1, 0.3, 0.5] {
            let dropped = dropout(&x, share, true);
            let zeros = dropped.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
            assert!((zeros - share).abs() < 0.005, "{zeros} of {share}");
            assert!((dropped.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.01);
            let rows = dropped.eq(0.0).to_kind(Kind::Float).mean_dim([1i64].as_slice(), false, Kind::Float);
            assert!(rows.std(false).double_value(&[]) < 0.07, "every place has its own draw");
            assert_ne!(dropped, dropout(&x, share, true));
        }
        assert_eq!(dropout(&x, 0.5, false), x);
        assert_eq!(dropout(&x, 0.0, true), x);
    }

    #[test]
    fn what_was_dropped_has_no_gradient() {
        let x = Tensor::ones([64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let dropped = dropout(&x, 0.5, true);
        dropped.sum(Kind::Float).backward();
        assert_eq!(x.grad(), dropped);
    }
}
