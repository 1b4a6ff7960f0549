//! One backbone over images: what makes the features of a set.

use artifacts::features::FeatureSpec;
use half::f16;
use model::grids::{SpecError, transform};
use tch::{Kind, TchError, Tensor};

use super::GridError;
use crate::backbone::Backbone;

/// The backbone that makes one set of features.
///
/// A tensor may move between threads but not be shared by them, so every thread takes a clone; the clones share the memory
/// of the weights.
#[derive(Clone, Debug)]
pub struct Extractor {
    backbone: Backbone,
    /// Of an image.
    side: i64,
    /// Regions and channels, as the specification has them.
    shape: [i64; 2],
}

impl Extractor {
    /// Makes features of `spec` with the network of [`backbone_of`](model::grids::backbone_of).
    ///
    /// # Errors
    ///
    /// When the specification holds no transform.
    pub fn new(spec: &FeatureSpec, backbone: Backbone) -> Result<Extractor, GridError> {
        let side = i64::from(transform(spec)?.crop);
        Ok(Extractor { backbone, side, shape: [spec.regions() as i64, spec.channels as i64] })
    }

    /// Runs the network over normalised squares, `[squares × 3 × side × side]`.
    ///
    /// Batches of another size may round otherwise: whoever wants the very same bits for an image among any others fills
    /// its batches up, with zeros, say. With squeeze-and-excitation (EfficientNet-B), some
    /// values of other batches differ by the last bit of half precision; ResNets and EfficientNet-Lite on a CPU give the
    /// same bits whatever the batch.
    ///
    /// # Errors
    ///
    /// When libtorch refuses, or the network gives grids of another shape than its specification says.
    pub fn grids(&self, squares: &[f32]) -> Result<Grids, GridError> {
        let input = Tensor::f_from_slice(squares)?.f_view([-1, 3, self.side, self.side])?;
        let grids = tch::no_grad(|| self.backbone.grid(&input))?;
        if grids.size()[1..] != self.shape {
            let (name, found) = (self.backbone.spec().name, grids.size());
            let reason = format!("{name} gives {found:?}, not {:?} for each image", self.shape);
            return Err(SpecError::Spec { name: name.to_owned(), reason }.into());
        }
        Ok(Grids(grids))
    }
}

/// The grids of some images as the network gives them: f32 `[images, regions, channels]`.
pub struct Grids(Tensor);

impl Grids {
    /// In half precision, as the cache holds them: `[images × regions × channels]`.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn halves(&self) -> Result<Vec<f16>, GridError> {
        Ok(halves(&self.0)?)
    }

    /// Their means over the regions, taken before rounding, in half precision: `[images × channels]`.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn pooled(&self) -> Result<Vec<f16>, GridError> {
        Ok(halves(&self.0.f_mean_dim([1i64].as_slice(), false, Kind::Float)?)?)
    }
}

fn halves(tensor: &Tensor) -> Result<Vec<f16>, TchError> {
    Vec::<f16>::try_from(tensor.f_to_kind(Kind::Half)?.f_reshape([-1])?)
}
