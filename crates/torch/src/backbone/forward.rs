//! Walking the layers of a description: the same for features and for gradients.

use std::collections::HashMap;

use model::backbone::Kernel;
use model::backbone::description::{Activation, Conv, Geometry, Layer, Padding};
use model::weights::{NamedArrays, WeightsError};
use tch::{Device, TchError, Tensor};

use super::Placement;

/// Weight, channels last, and bias of each convolution, by its name.
#[derive(Debug, Default)]
pub(super) struct Kernels(HashMap<String, (Tensor, Tensor)>);

impl Clone for Kernels {
    /// Shares the memory of the weights.
    fn clone(&self) -> Self {
        let share = |(name, (weight, bias)): (&String, &(Tensor, Tensor))| {
            (name.clone(), (weight.shallow_clone(), bias.shallow_clone()))
        };
        Self(self.0.iter().map(share).collect())
    }
}

impl FromIterator<(String, (Tensor, Tensor))> for Kernels {
    fn from_iter<T: IntoIterator<Item = (String, (Tensor, Tensor))>>(kernels: T) -> Self {
        Self(kernels.into_iter().collect())
    }
}

impl Kernels {
    /// Those of a file, with their batch normalisations folded in: for inference.
    pub(super) fn folded<'a>(
        convs: impl IntoIterator<Item = &'a Conv>,
        weights: &NamedArrays,
        epsilon: f64,
        placement: Placement,
    ) -> Result<Kernels, WeightsError> {
        let kernel = |conv: &Conv| {
            let Kernel { weight, bias } = Kernel::folded(conv, weights, epsilon)?;
            let place = || {
                let place = |values: &[f64]| {
                    Tensor::f_from_slice(values)?.f_to_kind(placement.kind())?.f_to_device(placement.device)
                };
                let weight = place(&weight)?.f_view(conv.weight_shape().as_slice())?;
                Ok((channels_last(&weight)?, place(&bias)?))
            };
            let placed = place().map_err(|error: TchError| weights.refuse(&conv.weight_name(), error));
            Ok((conv.name.clone(), placed?))
        };
        convs.into_iter().map(kernel).collect()
    }

    /// Walks the layers. Where gradients are wanted, nothing is overwritten that they need.
    pub(super) fn run<'a>(
        &self,
        layers: impl IntoIterator<Item = &'a Layer>,
        input: &Tensor,
    ) -> Result<Tensor, TchError> {
        layers.into_iter().try_fold(input.shallow_clone(), |grid, layer| match layer {
            Layer::Conv(conv) => self.convolve(conv, &grid),
            Layer::Activate(activation) => activate(*activation, grid),
            &Layer::MaxPool { kernel, stride } => {
                grid.f_max_pool2d([kernel; 2], [stride; 2], [kernel / 2; 2], [1, 1], false)
            }
            Layer::MeanPool => grid.f_adaptive_avg_pool2d([1, 1]),
            Layer::Add { branch, shortcut } => {
                let around = self.run(shortcut, &grid)?;
                self.run(branch, &grid)?.f_add_(&around)
            }
            Layer::Gate(gate) => {
                let gate = self.run(gate, &grid)?;
                overwrite(grid, |grid| grid.f_mul_(&gate), |grid| grid.f_mul(&gate))
            }
        })
    }

    /// `[batch, inputs, height, width]` to `[batch, outputs, ceil(height / stride), ceil(width / stride)]`.
    fn convolve(&self, conv: &Conv, input: &Tensor) -> Result<Tensor, TchError> {
        let Geometry { kernel, stride, groups, padding, .. } = conv.geometry;
        let (weight, bias) = self
            .0
            .get(&conv.name)
            .ok_or_else(|| TchError::Shape(format!("the convolution `{}` has no weights", conv.name)))?;
        let convolve = |input: &Tensor, padding: [i64; 2]| {
            if weight.device() == Device::Cpu && tch::utils::has_mkldnn() {
                // On one thread `conv2d` sends 1×1 convolutions of fewer than 16 images elsewhere, which is slower.
                input.f_mkldnn_convolution(weight, Some(bias), padding, [stride; 2], [1, 1], groups)
            } else {
                input.f_conv2d(weight, Some(bias), [stride; 2], padding, [1, 1], groups)
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

fn activate(activation: Activation, grid: Tensor) -> Result<Tensor, TchError> {
    match activation {
        // Their gradients are known from their results.
        Activation::Relu => into(grid, Tensor::f_relu_),
        Activation::Sigmoid => into(grid, Tensor::f_sigmoid_),
        Activation::Relu6 => overwrite(grid, Tensor::f_relu6_, Tensor::f_relu6),
        Activation::Silu => overwrite(grid, Tensor::f_silu_, Tensor::f_silu),
    }
}

fn into(
    mut grid: Tensor,
    in_place: impl FnOnce(&mut Tensor) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    in_place(&mut grid)
}

/// Computes in place, unless a gradient would miss what was there.
fn overwrite(
    mut grid: Tensor,
    in_place: impl FnOnce(&mut Tensor) -> Result<Tensor, TchError>,
    anew: impl FnOnce(&Tensor) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    if grid.requires_grad() { anew(&grid) } else { in_place(&mut grid) }
}

/// The same tensor `[batch, channels, height, width]` with the channels adjacent in memory, the order that oneDNN's
/// and cuDNN's convolutions are fastest in.
pub(super) fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
