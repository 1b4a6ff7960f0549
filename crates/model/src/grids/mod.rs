//! From images to what decoders read: the [`transform`] to what a network sees, and the grids of several sets as one ([`Join`]).

mod join;

use artifacts::features::FeatureSpec;
use imaging::Transform;

use crate::backbone::{BackboneSpec, UnknownBackbone};

pub use join::Join;

/// Features that this program does not make.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
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
}

/// What is done to an image before the backbone sees it.
///
/// # Errors
///
/// When the specification holds no transform, or one that makes no sense.
pub fn transform(spec: &FeatureSpec) -> Result<Transform, SpecError> {
    let transform = serde_json::from_value(spec.transform.clone());
    transform.map_err(|error| SpecError::Spec { name: spec.name(), reason: error.to_string() })
}

/// The registry row of the backbone that makes features of `spec`.
///
/// # Errors
///
/// When there is none, as for networks in ONNX files, or when its grids have another shape.
pub fn backbone_of(spec: &FeatureSpec) -> Result<&'static BackboneSpec, SpecError> {
    if spec.onnx.is_some() {
        let reason = "they are those of an ONNX network, and those of a backbone of this program are wanted";
        return Err(SpecError::Spec { name: spec.name(), reason: reason.to_owned() });
    }
    let backbone = BackboneSpec::named(&spec.backbone)?;
    let side = backbone.grid(transform(spec)?.crop) as usize;
    let (made, wanted) = (([side, side], backbone.channels as usize), (spec.grid, spec.channels));
    if made != wanted {
        let reason = format!("{} gives grids {made:?}, not {wanted:?}", backbone.name);
        return Err(SpecError::Spec { name: spec.name(), reason });
    }
    Ok(backbone)
}
