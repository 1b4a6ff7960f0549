//! An evaluated model as one file that captions anywhere ([`pack`]), as the folder that a model hub expects ([`hub`]), and as
//! ONNX files for programs of any language ([`onnx_folder`]).
//!
//! Everything comes from a run's folder: which checkpoints were evaluated, by which search settings, and how they scored.
//! What was trained or extracted again since is refused, so a file never carries scores of other weights. The ONNX files can be
//! made of an older export too, which holds all of that.

mod about;
mod card;
mod evaluated;
pub mod hub;
pub mod onnx_folder;
pub mod pack;
mod scores;

pub use evaluated::Evaluated;
