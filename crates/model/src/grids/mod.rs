//! From images to what decoders read: squares → grids ([`Extractor`]), the grids of several sets as one ([`Join`]), and
//! a split's cached grids as tensors ([`GridStore`]).

mod extractor;
mod join;
mod store;

use artifacts::features::{FeatureError, FeatureSpec};
use imaging::Transform;
use tch::TchError;

use crate::backbone::UnknownBackbone;

pub use extractor::{Extractor, Grids, Squares};
pub use join::Join;
pub use store::GridStore;

/// Why there are no grids.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// The features are those of another version of this program.
    #[error(transparent)]
    Backbone(#[from] UnknownBackbone),
    /// The features were made in a way that this program does not know.
    #[error("features of {name}: {reason}: extract them and train again with this program")]
    Spec {
        /// As its folder is called: backbone and view.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// The cache cannot be read.
    #[error(transparent)]
    Features(#[from] FeatureError),
    /// libtorch refused.
    #[error("the network failed: {0}")]
    Torch(#[from] TchError),
}

/// What is done to an image before the backbone sees it.
///
/// # Errors
///
/// When the specification holds no transform, or one that makes no sense.
pub fn transform(spec: &FeatureSpec) -> Result<Transform, GridError> {
    let transform = serde_json::from_value(spec.transform.clone());
    transform.map_err(|error| GridError::Spec { name: spec.name(), reason: error.to_string() })
}
