//! Layers that several decoders use.

use tch::nn::{self, Init};
use tch::{Kind, Tensor};

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

    /// A whole sequence by the fused kernel: `inputs [rows, steps, inputs]` → hidden states `[rows, steps, hidden]`.
    pub(super) fn sequence(&self, inputs: &Tensor, hidden: &Tensor, cell: &Tensor) -> Tensor {
        let state = [hidden.unsqueeze(0), cell.unsqueeze(0)];
        let state: Vec<&Tensor> = state.iter().collect();
        let weights: Vec<&Tensor> = self.weights.iter().collect();
        inputs.lstm(&state, &weights, true, 1, 0.0, false, false, true).0
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

    /// What regions `[images, regions, feature]` are compared by, computed once: `[images, regions, attention]`.
    pub(super) fn keys(&self, regions: &Tensor) -> Tensor {
        regions.apply(&self.key)
    }

    /// Scores of the regions before softmax, `[images, rows of each image, regions]`, for the states
    /// `hidden [rows, hidden]`, where the rows of an image follow one another. Keys are read once an image, not once a
    /// row: at these sizes, memory traffic is what a look costs.
    pub(super) fn energies(&self, keys: &Tensor, hidden: &Tensor) -> Tensor {
        let query = hidden.apply(&self.query).view([keys.size()[0], -1, 1, keys.size()[2]]);
        (keys.unsqueeze(1) + query).tanh_().apply(&self.energy).squeeze_dim(-1)
    }
}

/// Mean over the regions: `[rows, regions, size]` → `[rows, size]`.
pub(super) fn mean_region(grid: &Tensor) -> Tensor {
    grid.mean_dim([1i64].as_slice(), false, Kind::Float)
}
