//! Caption metrics with the numbers of COCO's `pycocoevalcap` 1.2, without Java or Python.
//!
//! Text becomes words in [`tokenize`]; words become corpus and per-image BLEU-1..4, ROUGE-L and CIDEr-D in [`score`],
//! or CIDEr-D alone, as a training reward, in [`cider_d`]. [`bootstrap`] says how far a score or a difference can be
//! trusted, [`diversity`] how varied the captions are. [`meteor`] asks the METEOR program, which needs Java.
//!
//! Invariant: all but [`meteor`] are pure functions of their arguments. Nothing here knows a tensor, a dataset or
//! another crate of this workspace, and equal input gives bit-equal output.

mod bleu;
pub mod bootstrap;
mod cider;
mod corpus;
pub mod diversity;
mod evaluation;
pub mod meteor;
mod ngrams;
mod rouge;
pub mod tokenize;

pub use bleu::BleuCounts;
pub use cider::{DocumentFrequency, cider_d};
pub use corpus::ScoreError;
pub use evaluation::{Evaluation, NAMES, Scores, score};

/// The words of one caption, in order, as [`tokenize::caption_tokens`] makes them.
pub type Tokens = Vec<String>;
