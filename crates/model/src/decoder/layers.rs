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

/// Mean over the regions: `[rows, regions, size]` → `[rows, size]`.
pub(super) fn mean_region(grid: &Tensor) -> Tensor {
    grid.mean_dim([1i64].as_slice(), false, Kind::Float)
}
