//! A model and some bytes in, a caption out.
//!
//! ```
//! use caption::{Captioner, Options};
//!
//! # let made = pipeline_tests::Workspace::new("").with_weights("resnet18");
//! # let model = made.random_model("model.safetensors", 1);
//! # let photo = made.path("photo.png");
//! # caption::RgbImage::from_fn(300, 260, |x, y| image::Rgb([x as u8, y as u8, 90])).save(&photo)?;
//! // A file of `export`, or a checkpoint of `train` and the folder of its backbones' weights.
//! let options = Options { weights: made.path("weights"), ..Options::default() };
//! let captioner = Captioner::open(&model, &options)?;
//! let photo = captioner.photo(&std::fs::read(photo)?)?;
//! let captioned = captioner.caption(&[photo], captioner.search_settings())?;
//! let best = captioned[0].best();
//! println!("{}", best.caption);
//! // Where the model looked for each word: shares of the grid's cells, row by row.
//! let [rows, columns] = captioner.grid();
//! assert_eq!(best.words[0].attention.as_ref().map(|look| look.len()), Some(rows * columns));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The model is what `export` packed, or a checkpoint of `train`. A photo goes the way that it goes in training:
//! [`imaging::decode`], the transform and the backbone weights that the model names, features rounded to half precision as
//! the cache holds them. The caption of a validation image is the one that `evaluate` writes.
//!
//! Networks run on ONNX Runtime, a shared library that is loaded as the program runs; where it is looked for,
//! [`onnx::library`] says.
//!
//! Invariant: nothing here knows a stage or a metric; what a caption is made of comes from the model alone.

mod captioned;
mod captioner;
mod error;
#[allow(unsafe_code, reason = "a setting of the system's allocator, called through C")]
mod memory;
mod network;
mod newest;
mod photo;
mod source;
pub mod video;
mod workers;

pub use artifacts::recipe::digest_file;
pub use captioned::{Caption, Captioned, Word};
pub use captioner::{Captioner, Options};
pub use error::CaptionError;
pub use image::RgbImage;
pub use imaging::{FileError, ImageError, decode, memory_needed, read_file};
pub use memory::give_back_memory;
pub use model::search::{SampleSettings, SearchSettings};
pub use model::tuned::Keyword;
pub use newest::{DefaultModel, default_model};
pub use photo::{Features, Photo, Seen};
pub use workers::Cores;
