//! A checkpoint and some bytes in, a caption out.
//!
//! ```no_run,standalone_crate
//! use caption::{Captioner, Options, SearchSettings};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let captioner = Captioner::open("data/runs/demo/train/a/model.safetensors".as_ref(), &Options::default())?;
//! let photo = captioner.photo(&std::fs::read("photo.jpg")?)?;
//! let captioned = captioner.caption(&[photo], &SearchSettings::default())?;
//! println!("{}", captioned[0].best().caption);
//! # Ok(())
//! # }
//! ```
//!
//! A photo goes the way that it goes in training: [`imaging::decode`], the transform and the backbone weights that the
//! checkpoint names, features rounded to half precision as the cache holds them. The caption of a validation image is
//! the one that `evaluate` writes.
//!
//! Invariant: nothing here knows a stage or a metric; what a caption is made of comes from the checkpoint alone.

mod captioned;
mod captioner;
mod error;
mod network;
mod newest;
mod photo;
pub mod video;
mod workers;

pub use captioned::{Caption, Captioned, Word};
pub use captioner::{Captioner, Options};
pub use error::CaptionError;
pub use image::RgbImage;
pub use imaging::{ImageError, decode};
pub use model::device;
pub use model::search::SearchSettings;
pub use newest::newest_model;
pub use photo::{Features, Photo, Seen};
