//! Captions as other programs write them: whatever reads a file that someone brings reads it through here.
//!
//! [`text`] makes text of bytes, [`json`] and [`table`] make rows of text, [`coco`] and [`karpathy`] are the two shapes of
//! JSON that the field knows, and an [`Id`] is one whether it was written as a number or as text. So a file that the stage
//! `dataset` takes, `score` takes too. All of them take bytes; an error names the file and the line or entry.
//!
//! Invariant: nothing here knows an image, a dataset or a score.

pub mod coco;
mod error;
mod id;
pub mod json;
pub mod karpathy;
mod sentence;
pub mod table;
pub mod text;

pub use error::{Location, Place, ReadError, clip};
pub use id::Id;
pub use sentence::{Captions, Sentence};
