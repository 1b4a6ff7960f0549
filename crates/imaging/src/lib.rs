//! Bytes → oriented RGB → resized, cropped, normalised pixels: the only image path of the project.
//!
//! Training, evaluation and captions of one's own photos all come through here, so they cannot see different images.
//!
//! Invariant: nothing here knows a tensor or a dataset.

mod decode;
mod jpeg;
mod transform;

pub use decode::{ImageError, MAX_PIXELS, MAX_SIDE, decode, probe};
pub use transform::{Interpolation, Transform};
