//! Bytes → oriented RGB → resized, cropped, normalised pixels: the only image path of the project.
//!
//! Training, evaluation and captions of one's own photos all come through here, so they cannot see different images.
//! [`decode`] takes the bytes of a file and turns what is in them upright; a [`Transform`] makes of that what a network was
//! trained to see: in 8 bits for people ([`Transform::pixels`]), or normalised for the network ([`Transform::apply`]).
//!
//! ```
//! use imaging::{ImageError, Interpolation, Transform};
//!
//! // A photo of 8 × 4 pixels: any of JPEG, PNG, WebP, GIF, TIFF and BMP, told by its bytes.
//! let mut file = std::io::Cursor::new(Vec::new());
//! let photo = image::RgbImage::from_fn(8, 4, |x, _| image::Rgb([if x < 4 { 0 } else { 255 }; 3]));
//! photo.write_to(&mut file, image::ImageFormat::Png)?;
//!
//! let transform = Transform {
//!     resize: 4, // the shorter side
//!     crop: 2,   // of the middle
//!     squash: false,
//!     mirror: false,
//!     interpolation: Interpolation::Bilinear,
//!     mean: [127.5; 3],
//!     std: [127.5; 3],
//! };
//! transform.check()?;
//! let image = imaging::decode(file.get_ref())?;
//! assert_eq!(transform.visible_region(8, 4), [3.0, 1.0, 5.0, 3.0]);
//! let pixels = transform.pixels(&image);
//! assert_eq!((pixels[(0, 0)].0, pixels[(1, 0)].0), ([0; 3], [255; 3]));
//! // `[3, crop, crop]`: red, green and blue, each row by row.
//! let values = transform.apply(&image);
//! assert_eq!(values, [-1.0, 1.0, -1.0, 1.0].repeat(3));
//!
//! // Bytes that are no photo are an error that says what they look like.
//! assert!(matches!(imaging::decode(b"<html>"), Err(ImageError::UnknownFormat(_))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariant: nothing here knows a tensor or a dataset.

pub mod attention;
mod bmp;
mod caught;
mod content;
mod decode;
mod error;
mod file;
mod jpeg;
pub mod lettering;
mod memory;
mod open;
mod orientation;
mod png;
mod resize;
mod rgb;
mod system;
mod tiff;
mod transform;
mod truncation;

pub use content::Content;
pub use decode::{decode, memory_needed, probe};
pub use error::{ImageError, MAX_FILE_BYTES, MAX_MEMORY, MAX_SIDE};
pub use file::{FileError, content, read, read_file};
pub use resize::Interpolation;
pub use system::is_of_system;
pub use transform::{MAX_CROP, Transform, TransformError};
