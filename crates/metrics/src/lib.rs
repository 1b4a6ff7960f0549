//! Caption metrics with the numbers of COCO's `pycocoevalcap` 1.2, without Java or Python.
//!
//! Text becomes words in [`tokenize`]; words become corpus and per-image BLEU-1..4, ROUGE-L and CIDEr-D in [`score`],
//! or CIDEr-D alone, as a training reward, in [`cider_d`].
//!
//! Invariant: pure functions of their arguments. Nothing here knows a tensor, a file or another crate of this
//! workspace, and equal input gives bit-equal output.

mod bleu;
mod cider;
mod corpus;
mod evaluation;
mod ngrams;
mod rouge;
pub mod tokenize;

pub use cider::{DocumentFrequency, cider_d};
pub use corpus::ScoreError;
pub use evaluation::{Evaluation, Scores, score};

/// The words of one caption, in order, as [`tokenize::caption_tokens`] makes them.
pub type Tokens = Vec<String>;
