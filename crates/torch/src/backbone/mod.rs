//! libtorch's interpreters of a backbone's description: [`Backbone`] computes features, every batch normalisation folded into
//! its convolution, and [`Trainable`] gradients.

mod forward;
mod placement;
mod trainable;

use std::path::Path;
use std::sync::Arc;

use model::backbone::BackboneSpec;
use model::backbone::description::Description;
use model::weights::{self, NamedArrays, WeightsError};
use tch::{Device, Kind, TchError, Tensor};

use forward::{Kernels, channels_last};

pub use placement::Placement;
pub use trainable::Trainable;

/// A network with its weights, ready to look at images.
///
/// A tensor may move between threads but not be shared by them, so every worker takes a clone; the clones share
/// the memory of the weights.
#[derive(Clone, Debug)]
pub struct Backbone {
    spec: &'static BackboneSpec,
    description: Arc<Description>,
    kernels: Kernels,
    placement: Placement,
}

impl Backbone {
    /// Builds the network of a registry row from tensors with the published names and shapes; a device alone means f32.
    ///
    /// # Errors
    ///
    /// A tensor that is missing or of another shape, by its name.
    pub fn build(
        spec: &'static BackboneSpec,
        weights: &NamedArrays,
        placement: impl Into<Placement>,
    ) -> Result<Self, WeightsError> {
        let placement = placement.into();
        let description = (spec.describe)(weights);
        let kernels = Kernels::folded(description.convs_from(0), weights, description.epsilon, placement)?;
        Ok(Self { spec, description: Arc::new(description), kernels, placement })
    }

    /// Builds it from a weight file; [`weights::find`] and [`weights::ensure`] give the path.
    ///
    /// # Errors
    ///
    /// Those of [`weights::read`] and of [`build`](Self::build).
    pub fn load(
        spec: &'static BackboneSpec,
        path: &Path,
        placement: impl Into<Placement>,
    ) -> Result<Self, WeightsError> {
        Self::build(spec, &weights::read(path)?, placement)
    }

    /// The registry row it was built from.
    pub fn spec(&self) -> &'static BackboneSpec {
        self.spec
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.placement.device
    }

    /// Features of normalised images: f32 `[batch, 3, side, side]` to contiguous f32 `[batch, regions, channels]` on
    /// the backbone's device, regions row by row from the top left.
    ///
    /// The side is meant to be the transform's crop, but any other works. Errors when the shape or the element type
    /// is another.
    ///
    /// # Errors
    ///
    /// Images of another shape or element type, and refusals of libtorch.
    pub fn grid(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let (_, planes, height, width) = images.size4()?;
        if planes != 3 || height != width || images.f_kind()? != Kind::Float {
            let found = (images.f_kind()?, images.size());
            return Err(TchError::Shape(format!("images must be f32 [batch, 3, side, side], not {found:?}")));
        }
        let images = images.f_to_device(self.placement.device)?.f_to_kind(self.placement.kind())?;
        let layers = self.description.layers_from(0);
        regions_last(&self.kernels.run(layers, &channels_last(&images)?)?)
    }
}

/// `[batch, channels, rows, columns]` to contiguous f32 `[batch, regions, channels]`.
fn regions_last(features: &Tensor) -> Result<Tensor, TchError> {
    features.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_flatten(1, 2)?.f_to_kind(Kind::Float)
}
