//! A convolution with its batch normalisation folded in: the one layer that all backbones are made of.

use tch::{Device, Kind, TchError, Tensor};

use super::Placement;
use crate::weights::{NamedTensors, WeightsError};

/// The whole geometry of a square convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) inputs: i64,
    pub(super) outputs: i64,
    pub(super) kernel: i64,
    pub(super) stride: i64,
    pub(super) groups: i64,
    pub(super) padding: Padding,
}

/// How zeros are put around the input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Padding {
    /// `kernel / 2` on every side: PyTorch's way.
    Half,
    /// As much as gives `ceil(input / stride)` outputs, the odd one at the bottom and right: TensorFlow's "SAME".
    Same,
}

/// Where a network takes its layers from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) weights: &'a NamedTensors,
    /// Added to the variance by every batch normalisation.
    pub(super) epsilon: f64,
    pub(super) placement: Placement,
}

impl Source<'_> {
    /// The convolution `<conv>.weight` followed by the batch normalisation `<norm>.*`, as one convolution:
    /// `w' = w·γ/√(σ²+ε)` and `b' = β − μ·γ/√(σ²+ε)`, computed in f64.
    pub(super) fn conv(&self, conv: &str, norm: &str, geometry: Geometry) -> Result<Conv, WeightsError> {
        let Geometry { inputs, outputs, kernel, groups, .. } = geometry;
        let name = format!("{conv}.weight");
        let weight = self.weights.get(&name, &[outputs, inputs / groups, kernel, kernel])?;
        let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| self.weights.get(&format!("{norm}.{part}"), &[outputs]));
        let conv = fold(&weight, [gamma?, beta?, mean?, variance?], self.epsilon)
            .and_then(|(weight, bias)| Conv::place(&weight, &bias, geometry, self.placement));
        conv.map_err(|source| self.weights.torch_error(&name, source))
    }

    /// The convolution `<name>.weight` with its own `<name>.bias`.
    pub(super) fn biased_conv(&self, name: &str, geometry: Geometry) -> Result<Conv, WeightsError> {
        let Geometry { inputs, outputs, kernel, groups, .. } = geometry;
        let weight =
            self.weights.get(&format!("{name}.weight"), &[outputs, inputs / groups, kernel, kernel])?;
        let bias = self.weights.get(&format!("{name}.bias"), &[outputs])?;
        let conv = Conv::place(&weight, &bias, geometry, self.placement);
        conv.map_err(|source| self.weights.torch_error(name, source))
    }
}

/// Weight and bias in f64.
fn fold(
    weight: &Tensor,
    [gamma, beta, mean, variance]: [Tensor; 4],
    epsilon: f64,
) -> Result<(Tensor, Tensor), TchError> {
    let double = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
    let scale = double(&gamma)?.f_div(&double(&variance)?.f_add_scalar(epsilon)?.f_sqrt()?)?;
    let bias = double(&beta)?.f_sub(&double(&mean)?.f_mul(&scale)?)?;
    let weight = double(weight)?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
    Ok((weight, bias))
}

/// The same tensor `[batch, channels, height, width]` with the channels adjacent in memory, the order that oneDNN's
/// and cuDNN's convolutions are fastest in.
pub(super) fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// A convolution with bias, for inference.
#[derive(Debug)]
pub(super) struct Conv {
    weight: Tensor,
    bias: Tensor,
    geometry: Geometry,
}

impl Clone for Conv {
    /// Shares the memory of the weights.
    fn clone(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone(), geometry: self.geometry }
    }
}

impl Conv {
    fn place(
        weight: &Tensor,
        bias: &Tensor,
        geometry: Geometry,
        placement: Placement,
    ) -> Result<Self, TchError> {
        let sum = |tensor: &Tensor| tensor.f_sum(Kind::Double)?.f_double_value(&[]);
        if !(sum(weight)? + sum(bias)?).is_finite() {
            return Err(TchError::Convert(
                "not all numbers are finite, or a variance is negative".to_owned(),
            ));
        }
        let place = |tensor: &Tensor| tensor.f_to_kind(placement.kind())?.f_to_device(placement.device);
        Ok(Self { weight: channels_last(&place(weight)?)?, bias: place(bias)?, geometry })
    }

    /// `[batch, inputs, height, width]` to `[batch, outputs, ceil(height / stride), ceil(width / stride)]`.
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let Geometry { kernel, stride, groups, padding, .. } = self.geometry;
        let convolve = |input: &Tensor, padding: [i64; 2]| {
            let (weight, bias) = (&self.weight, Some(&self.bias));
            if weight.device() == Device::Cpu && tch::utils::has_mkldnn() {
                // On one thread `conv2d` sends 1×1 convolutions of fewer than 16 images elsewhere, which is slower.
                input.f_mkldnn_convolution(weight, bias, padding, [stride; 2], [1, 1], groups)
            } else {
                input.f_conv2d(weight, bias, [stride; 2], padding, [1, 1], groups)
            }
        };
        let Padding::Same = padding else {
            return convolve(input, [kernel / 2; 2]);
        };
        let (_, _, height, width) = input.size4()?;
        let total = |side: i64| ((side + stride - 1) / stride * stride - stride + kernel - side).max(0);
        let (rows, columns) = (total(height), total(width));
        if rows % 2 == 0 && columns % 2 == 0 {
            return convolve(input, [rows / 2, columns / 2]);
        }
        let padded =
            input.f_constant_pad_nd([columns / 2, columns - columns / 2, rows / 2, rows - rows / 2])?;
        convolve(&padded, [0, 0])
    }
}
