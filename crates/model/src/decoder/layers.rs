//! Layers that several decoders use. Beside tch's own they return libtorch's errors.

use tch::nn::Init;
use tch::{Kind, TchError, Tensor};

use super::parameters::{BuildError, Parameters};

/// A linear layer: x Wᵀ + b.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Weights uniform in ±√(6 / inputs) (He et al. 2015, <https://arxiv.org/abs/1502.01852>), biases in ±1/√inputs.
    pub(super) fn new(parameters: Parameters, inputs: i64, outputs: i64) -> Result<Self, BuildError> {
        let root = (inputs as f64).sqrt();
        let uniform = |bound: f64| Init::Uniform { lo: -bound, up: bound };
        let bias = parameters.get("bias", &[outputs], uniform(1.0 / root))?;
        let bound = 3f64.sqrt() * (2f64.sqrt() / root);
        Ok(Linear { weight: parameters.get("weight", &[outputs, inputs], uniform(bound))?, bias })
    }

    /// `[…, inputs]` → `[…, outputs]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}

/// Word vectors.
#[derive(Debug)]
pub(super) struct Embedding {
    /// `[words, size]`.
    pub(super) weight: Tensor,
}

impl Embedding {
    /// Drawn from a normal distribution of standard deviation 1/√size.
    pub(super) fn new(parameters: Parameters, words: i64, size: i64) -> Result<Self, BuildError> {
        let stdev = 1.0 / (size as f64).sqrt();
        let init = Init::Randn { mean: 0.0, stdev };
        Ok(Embedding { weight: parameters.by_word().get("weight", &[words, size], init)? })
    }

    /// Ids `[…]` → vectors `[…, size]`.
    pub(super) fn forward(&self, words: &Tensor) -> Result<Tensor, TchError> {
        Tensor::f_embedding(&self.weight, words, -1, false, false)
    }
}

/// Layer normalisation (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>) over the last dimension.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub(super) fn new(parameters: Parameters, size: i64) -> Result<Self, BuildError> {
        Ok(LayerNorm {
            weight: parameters.get("weight", &[size], Init::Const(1.0))?,
            bias: parameters.get("bias", &[size], Init::Const(0.0))?,
        })
    }

    /// `[…, size]` → the same shape.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm(self.weight.size(), Some(&self.weight), Some(&self.bias), 1e-5, true)
    }
}

/// Zeroes a share of the numbers, drawn anew from libtorch's generator, and scales the others so that means stay.
///
/// One random byte decides for a number, so shares are multiples of 1/256: libtorch's own dropout draws one number after
/// another, which at these sizes took a fifth of a training step.
pub(super) fn dropout(x: &Tensor, share: f64, train: bool) -> Result<Tensor, TchError> {
    let bound = (share * 256.0).round().min(255.0);
    if !train || bound == 0.0 {
        return Ok(x.shallow_clone());
    }
    let count = x.numel() as i64;
    let bytes =
        Tensor::f_empty([(count + 7) / 8], (Kind::Int64, x.device()))?.f_random_from_(i64::MIN, None)?;
    let kept = bytes.f_view_dtype(Kind::Uint8)?.f_narrow(0, 0, count)?.f_view_as(x)?.f_ge(bound)?;
    x.f_mul(&kept.f_to_kind(x.f_kind()?)?.f_mul_scalar_(256.0 / (256.0 - bound))?)
}

/// Additive attention (Bahdanau et al. 2015, <https://arxiv.org/abs/1409.0473>): wᵀ tanh(key + query).
#[derive(Debug)]
pub(super) struct AdditiveAttention {
    key: Linear,
    query: Linear,
    energy: Linear,
}

impl AdditiveAttention {
    /// Compares regions of `feature` numbers with states of `hidden` numbers in a space of `attention` numbers.
    pub(super) fn new(
        parameters: &Parameters,
        feature: i64,
        hidden: i64,
        attention: i64,
    ) -> Result<Self, BuildError> {
        Ok(AdditiveAttention {
            key: Linear::new(parameters / "key", feature, attention)?,
            query: Linear::new(parameters / "query", hidden, attention)?,
            energy: Linear::new(parameters / "energy", attention, 1)?,
        })
    }

    /// Twice what regions `[images, regions, feature]` are compared by, computed once: `[images, regions, attention]`.
    pub(super) fn keys(&self, regions: &Tensor) -> Result<Tensor, TchError> {
        self.key.forward(regions)?.f_mul_scalar(2.0)
    }

    /// Scores of the regions before softmax, `[images, rows of each image, regions]`, for the states
    /// `hidden [images, rows of each image, hidden]`. Keys are read once per image, not once per
    /// row: at these sizes, memory traffic is what a look costs.
    ///
    /// As tanh z = 2σ(2z) − 1, they are 2wᵀ σ(2 key + 2 query) but for a number that is the same for all regions, which no
    /// softmax sees; libtorch computes σ several times as fast as tanh.
    pub(super) fn energies(&self, keys: &Tensor, hidden: &Tensor) -> Result<Tensor, TchError> {
        let query = self.query.forward(hidden)?.f_mul_scalar(2.0)?.f_unsqueeze(2)?;
        let weights = self.energy.weight.f_mul_scalar(2.0)?;
        let compared = keys.f_unsqueeze(1)?.f_add(&query)?.f_sigmoid_()?;
        compared.f_linear(&weights, None::<Tensor>)?.f_squeeze_dim(-1)
    }
}

/// Mean over the regions: `[rows, regions, size]` → `[rows, size]`.
pub(super) fn mean_region(grid: &Tensor) -> Result<Tensor, TchError> {
    grid.f_mean_dim([1i64].as_slice(), false, Kind::Float)
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
            let dropped = dropout(&x, share, true).unwrap();
            let zeros = dropped.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
            assert!((zeros - share).abs() < 0.005, "{zeros} of {share}");
            assert!((dropped.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.01);
            let rows = dropped.eq(0.0).to_kind(Kind::Float).mean_dim([1i64].as_slice(), false, Kind::Float);
            assert!(rows.std(false).double_value(&[]) < 0.07, "every place has its own draw");
            assert_ne!(dropped, dropout(&x, share, true).unwrap());
        }
        assert_eq!(dropout(&x, 0.5, false).unwrap(), x);
        assert_eq!(dropout(&x, 0.0, true).unwrap(), x);
    }

    #[test]
    fn what_was_dropped_has_no_gradient() {
        let x = Tensor::ones([64], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let dropped = dropout(&x, 0.5, true).unwrap();
        dropped.sum(Kind::Float).backward();
        assert_eq!(x.grad(), dropped);
    }
}
