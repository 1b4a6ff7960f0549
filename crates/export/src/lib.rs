//! An evaluated model as one file that captions anywhere ([`pack`]), and as the folder that a model hub expects ([`hub`]).
//!
//! Everything comes from a run's folder: which checkpoints were evaluated, by which search settings, and how they scored.
//! What was trained or extracted again since is refused, so a file never carries scores of other weights.

mod card;
mod evaluated;
pub mod hub;
pub mod pack;

pub use evaluated::Evaluated;
