//! A model and some bytes in, a caption out.
//!
//! ```no_run,standalone_crate
//! use caption::{Captioner, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let captioner = Captioner::open("model.safetensors".as_ref(), &Options::default())?;
//! let photo = captioner.photo(&std::fs::read("photo.jpg")?)?;
//! let captioned = captioner.caption(&[photo], captioner.search_settings())?;
//! println!("{}", captioned[0].best().caption);
//! # Ok(())
//! # }
//! ```
//!
//! The model is what `export` packed, or a checkpoint of `train`. A photo goes the way that it goes in training:
//! [`imaging::decode`], the transform and the backbone weights that the model names, features rounded to half precision as
//! the cache holds them. The caption of a validation image is the one that `evaluate` writes.
//!
//! Programs should call [`single_threaded`] first: photos are spread over the cores already.
//!
//! Invariant: nothing here knows a stage or a metric; what a caption is made of comes from the model alone.

mod captioned;
mod captioner;
mod error;
mod network;
mod newest;
mod photo;
mod source;
pub mod video;
mod workers;

pub use captioned::{Caption, Captioned, Word};
pub use captioner::{Captioner, Options};
pub use error::CaptionError;
pub use image::RgbImage;
pub use imaging::{ImageError, decode};
pub use model::device;
pub use model::search::SearchSettings;
pub use model::threads::single as single_threaded;
pub use newest::newest_model;
pub use photo::{Features, Photo, Seen};
