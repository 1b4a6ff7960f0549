//! From images to what decoders read: squares → grids ([`Extractor`]), and a split's cached grids as tensors ([`GridStore`]).

mod extractor;
mod store;

use artifacts::features::FeatureError;
use half::f16;
use model::grids::{Join, SpecError};
use tch::{Device, Kind, TchError, Tensor};

pub use extractor::{Extractor, Grids};
pub use store::GridStore;

/// Why there are no grids.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// The features are not those of a backbone of this program.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The cache cannot be read.
    #[error(transparent)]
    Features(#[from] FeatureError),
    /// libtorch refused.
    #[error("the network failed: {0}")]
    Torch(#[from] TchError),
}

/// Joined grids as a decoder reads them: `values [images × regions × channels]` to f32 `[images, regions, channels]` on `device`.
///
/// # Errors
///
/// When `values` holds no whole number of grids, or the device has no room.
pub fn tensor(join: &Join, values: &[f16], device: Device) -> Result<Tensor, TchError> {
    let shape = [-1, join.regions() as i64, join.channels() as i64];
    Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(device)?.f_to_kind(Kind::Float)
}
