//! A backbone that learns: its deeper blocks and its head, while what lies before them stays as it is.

use std::sync::Arc;

use model::backbone::BackboneSpec;
use model::backbone::description::{Conv, Description};
use model::weights::{NamedArrays, WeightsError};
use tch::{Device, Kind, TchError, Tensor};

use super::forward::{Kernels, channels_last};
use super::regions_last;
use crate::weights::tensor;

/// A backbone with gradients for its blocks from one on and for its head.
///
/// Batch normalisations keep the mean and the variance that they were published with, and learn scale and shift: an image's
/// features do not depend on what else is in the batch, in training as in use. A clone shares the memory of all parameters,
/// those that learn included: one for each thread.
#[derive(Debug)]
pub struct Trainable {
    description: Arc<Description>,
    from_block: usize,
    frozen: Kernels,
    learning: Vec<Learning>,
}

/// A convolution that learns, with its tensors in the order of [`Conv::tensors`].
#[derive(Debug)]
struct Learning {
    conv: Conv,
    tensors: Vec<Tensor>,
}

impl Clone for Trainable {
    fn clone(&self) -> Self {
        let share = |Learning { conv, tensors }: &Learning| Learning {
            conv: conv.clone(),
            tensors: tensors.iter().map(Tensor::shallow_clone).collect(),
        };
        Self {
            description: self.description.clone(),
            from_block: self.from_block,
            frozen: self.frozen.clone(),
            learning: self.learning.iter().map(share).collect(),
        }
    }
}

impl Trainable {
    /// The network of `weights`, which learns from block `from_block` on; from 0 on the stem learns too.
    ///
    /// # Errors
    ///
    /// A tensor that is missing or of another shape, by its name.
    pub fn build(
        spec: &BackboneSpec,
        weights: &NamedArrays,
        from_block: usize,
        device: Device,
    ) -> Result<Self, WeightsError> {
        let description = (spec.describe)(weights);
        let frozen = Kernels::folded(
            description.convs_before(from_block),
            weights,
            description.epsilon,
            device.into(),
        )?;
        let learning = |conv: &Conv| {
            let placed = conv.tensors().into_iter().map(|(name, shape)| {
                let array = weights.get(&name, &shape)?;
                let place = || tensor(array)?.f_to_device(device)?.f_to_kind(Kind::Float);
                place().map_err(|error| weights.refuse(&name, error))
            });
            let mut tensors = placed.collect::<Result<Vec<Tensor>, WeightsError>>()?;
            for tensor in tensors.iter_mut().take(conv.learn()) {
                *tensor = tensor.set_requires_grad(true);
            }
            Ok(Learning { conv: conv.clone(), tensors })
        };
        let learning = description.convs_from(from_block).into_iter().map(learning);
        let learning = learning.collect::<Result<_, WeightsError>>()?;
        Ok(Self { description: Arc::new(description), from_block, frozen, learning })
    }

    /// What learns, by its published name; optimisers change these tensors in place.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        let named = |Learning { conv, tensors }: &Learning| {
            let names = conv.tensors().into_iter().take(conv.learn()).map(|(name, _)| name);
            names.zip(tensors.iter().map(Tensor::shallow_clone)).collect::<Vec<_>>()
        };
        self.learning.iter().flat_map(named).collect()
    }

    /// Features as [`Backbone::grid`](super::Backbone::grid) gives them, f32 `[batch, 3, side, side]` to
    /// `[batch, regions, channels]`, with gradients for [`parameters`](Self::parameters).
    ///
    /// # Errors
    ///
    /// Refusals of libtorch.
    pub fn grid(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let description = self.description.as_ref();
        let images = channels_last(images)?;
        let grid = tch::no_grad(|| self.frozen.run(description.layers_before(self.from_block), &images))?;
        let kernel = |Learning { conv, tensors }: &Learning| {
            let (weight, bias) = fold(tensors, description.epsilon)?;
            Ok((conv.name.clone(), (channels_last(&weight)?, bias)))
        };
        let kernels: Kernels = self.learning.iter().map(kernel).collect::<Result<_, TchError>>()?;
        regions_last(&kernels.run(description.layers_from(self.from_block), &grid)?)
    }
}

/// Convolution and normalisation as one convolution, as [`Kernel`](model::backbone::Kernel) has it: of its tensors in the order of
/// [`Conv::tensors`]. Gradients pass through it to w, γ and β; they are those of a normalisation whose mean and variance stay as
/// they are.
fn fold(tensors: &[Tensor], epsilon: f64) -> Result<(Tensor, Tensor), TchError> {
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
