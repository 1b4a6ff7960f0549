//! Convolutions with their batch normalisations folded in: for inference.

use super::description::Conv;
use crate::weights::{NamedArrays, WeightsError};

/// The numbers of a convolution that has no normalisation any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// `[outputs, inputs / groups, kernel, kernel]`, row-major.
    pub weight: Vec<f64>,
    /// `[outputs]`
    pub bias: Vec<f64>,
}

impl Kernel {
    /// Convolution and normalisation as one convolution: `w' = w·γ/√(σ²+ε)` and `b' = β − μ·γ/√(σ²+ε)`.
    ///
    /// # Errors
    ///
    /// A tensor that is absent or of another shape, by its name; numbers that are not finite.
    pub fn folded(conv: &Conv, weights: &NamedArrays, epsilon: f64) -> Result<Kernel, WeightsError> {
        let tensors =
            conv.tensors().into_iter().map(|(name, shape)| Ok(weights.get(&name, &shape)?.to_f64()));
        let mut tensors = tensors.collect::<Result<Vec<_>, WeightsError>>()?.into_iter();
        let mut next = || tensors.next().unwrap_or_default();
        let mut kernel = Kernel { weight: next(), bias: next() };
        let (shift, mean, variance) = (next(), next(), next());
        if !variance.is_empty() {
            // What stands in the place of a bias is γ then.
            let scales = kernel
                .bias
                .iter()
                .zip(&variance)
                .map(|(gamma, variance)| gamma / (variance + epsilon).sqrt());
            let scales: Vec<f64> = scales.collect();
            let each = kernel.weight.len() / scales.len().max(1);
            for (weights, scale) in kernel.weight.chunks_mut(each.max(1)).zip(&scales) {
                weights.iter_mut().for_each(|weight| *weight *= scale);
            }
            kernel.bias = shift
                .iter()
                .zip(mean.iter().zip(&scales))
                .map(|(shift, (mean, scale))| shift - mean * scale)
                .collect();
        }
        let finite = kernel.weight.iter().chain(&kernel.bias).all(|number| number.is_finite());
        if !finite {
            let reason = "not all numbers are finite, or a variance is negative";
            return Err(weights.refuse(&conv.weight_name(), reason));
        }
        Ok(kernel)
    }
}
