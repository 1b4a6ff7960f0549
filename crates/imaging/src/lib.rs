//! Bytes → oriented RGB → resized, cropped, normalised pixels: the only image path of the project.
//!
//! Training, evaluation and captions of one's own photos all come through here, so they cannot see different images.
//!
//! Invariant: nothing here knows a tensor or a dataset.

pub mod attention;
mod content;
mod decode;
mod jpeg;
pub mod lettering;
mod resize;
mod transform;
mod truncation;

pub use decode::{ImageError, MAX_PIXELS, MAX_SIDE, decode, probe};
pub use resize::Interpolation;
pub use transform::{MAX_CROP, Transform, TransformError};
