//! Convolutional backbones: photos in, grids of features out. For inference only; nothing here is ever trained.
//!
//! A backbone is one file and one row of the [registry](BackboneSpec). Every batch normalisation is folded into its
//! convolution when the weights are loaded, and the tensor names are those of the published files.

mod conv;
mod efficientnet;
mod efficientnet_names;
mod placement;
mod registry;
mod resnet;

use std::fmt::Debug;
use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

use crate::weights::{self, NamedTensors, WeightsError};

pub use placement::Placement;
pub use registry::{BackboneSpec, Builder, UnknownBackbone};

/// A network without its classifier.
pub trait Network: Debug + Send {
    /// `[batch, 3, side, side]` to `[batch, channels, rows, rows]`, both in the element type of the weights.
    ///
    /// # Errors
    ///
    /// libtorch refuses: images of another type than the weights, or too little memory.
    fn features(&self, images: &Tensor) -> Result<Tensor, TchError>;

    /// The same network, sharing its weights: one for each thread.
    fn shallow_clone(&self) -> Box<dyn Network>;
}

/// A network with its weights, ready to look at images.
///
/// A tensor may move between threads but not be shared by them, so every worker takes a clone; the clones share
/// the memory of the weights.
#[derive(Debug)]
pub struct Backbone {
    spec: &'static BackboneSpec,
    network: Box<dyn Network>,
    placement: Placement,
}

impl Clone for Backbone {
    fn clone(&self) -> Self {
        Self { spec: self.spec, network: self.network.shallow_clone(), placement: self.placement }
    }
}

impl Backbone {
    /// Builds the network of a registry row from tensors with the published names and shapes; a device alone means f32.
    ///
    /// # Errors
    ///
    /// A tensor that is missing or of another shape, by its name.
    pub fn build(
        spec: &'static BackboneSpec,
        weights: &NamedTensors,
        placement: impl Into<Placement>,
    ) -> Result<Self, WeightsError> {
        let placement = placement.into();
        Ok(Self { spec, network: (spec.builder)(weights, placement)?, placement })
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
        let features = self.network.features(&conv::channels_last(&images)?)?;
        features.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_flatten(1, 2)?.f_to_kind(Kind::Float)
    }
}
