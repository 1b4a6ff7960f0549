//! Convolutions with their batch normalisations folded in.

use tch::{Kind, TchError, Tensor};

use super::Placement;
use super::description::Conv;
use super::forward::{Kernels, channels_last};
use crate::weights::{NamedTensors, WeightsError};

/// Weight and bias of each convolution at a place, folded in f64: for inference.
pub(super) fn folded<'a>(
    convs: impl IntoIterator<Item = &'a Conv>,
    weights: &NamedTensors,
    epsilon: f64,
    placement: Placement,
) -> Result<Kernels, WeightsError> {
    let kernel = |conv: &Conv| {
        let tensors = read(conv, weights)?;
        let place = || {
            let doubles: Result<Vec<_>, _> =
                tensors.iter().map(|tensor| tensor.f_to_kind(Kind::Double)).collect();
            let (weight, bias) = fold(&doubles?, epsilon)?;
            place(&weight, &bias, placement)
        };
        let kernel = place().map_err(|source| weights.torch_error(&conv.weight_name(), source));
        Ok((conv.name.clone(), kernel?))
    };
    convs.into_iter().map(kernel).collect()
}

/// The tensors of a convolution, in the order of [`Conv::tensors`].
pub(super) fn read(conv: &Conv, weights: &NamedTensors) -> Result<Vec<Tensor>, WeightsError> {
    conv.tensors().iter().map(|(name, shape)| weights.get(name, shape)).collect()
}

/// Convolution and normalisation as one convolution: `w' = w·γ/√(σ²+ε)` and `b' = β − μ·γ/√(σ²+ε)`.
///
/// Gradients pass through it to w, γ and β; they are those of a normalisation whose mean and variance stay as they are.
pub(super) fn fold(tensors: &[Tensor], epsilon: f64) -> Result<(Tensor, Tensor), TchError> {
    match tensors {
        [weight, bias] => Ok((weight.shallow_clone(), bias.shallow_clone())),
        [weight, gamma, beta, mean, variance] => {
            let scale = gamma.f_div(&variance.f_add_scalar(epsilon)?.f_sqrt()?)?;
            let bias = beta.f_sub(&mean.f_mul(&scale)?)?;
            Ok((weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?, bias))
        }
        others => Err(TchError::Shape(format!("a convolution has 2 or 5 tensors, not {}", others.len()))),
    }
}

fn place(weight: &Tensor, bias: &Tensor, placement: Placement) -> Result<(Tensor, Tensor), TchError> {
    let sum = |tensor: &Tensor| tensor.f_sum(Kind::Double)?.f_double_value(&[]);
    if !(sum(weight)? + sum(bias)?).is_finite() {
        let reason = "not all numbers are finite, or a variance is negative";
        return Err(TchError::Convert(reason.to_owned()));
    }
    let place = |tensor: &Tensor| tensor.f_to_kind(placement.kind())?.f_to_device(placement.device);
    Ok((channels_last(&place(weight)?)?, place(bias)?))
}
