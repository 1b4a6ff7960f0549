//! Convolutional backbones: photos in, grids of features out.
//!
//! A backbone is one file that [describes](description::Description) it and one row of the [registry](BackboneSpec); the tensor
//! names are those of the published files. Nothing here computes with images: engines do, by the description.

pub mod description;
mod efficientnet;
mod efficientnet_names;
mod folded;
mod registry;
mod resnet;
mod views;

pub use folded::Kernel;
pub use registry::{BackboneSpec, UnknownBackbone};
pub use views::transform_of;
