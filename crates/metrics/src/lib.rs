//! Caption metrics with the numbers of COCO's `pycocoevalcap` 1.2, without Python, and but for METEOR without Java.
//!
//! Text becomes words in [`tokenize`]; words become scores of the corpus and of each image in [`score`], by every
//! [`Metric`]; [`bootstrap`] says how far a score or a difference can be trusted, [`diversity`] how varied the captions are.
//! [`Scorer`] computes some of the metrics, or METEOR too, whose words are aligned by its own program. [`cider_d`] is CIDEr-D
//! alone, as a training reward.
//!
//! ```
//! use metrics::bootstrap::Bootstrap;
//! use metrics::tokenize::caption_tokens;
//! use metrics::{Metric, score};
//!
//! let references = [
//!     ["A dog runs on the grass.", "A brown dog is running outside."],
//!     ["Two children play in the water.", "Kids are playing in a pool."],
//! ];
//! let references = references.map(|image| image.map(caption_tokens).to_vec());
//! let hypotheses = ["a dog is running on the grass", "two dogs play in the water"].map(caption_tokens);
//!
//! let evaluation = score(&references, &hypotheses)?;
//! for (metric, value) in evaluation.corpus.iter() {
//!     println!("{metric:8} {value:.4}");
//! }
//! assert!((evaluation.corpus[Metric::Bleu1] - 12.0 / 13.0).abs() < 1e-6);
//! assert!(evaluation.images[0][Metric::CiderD] > evaluation.images[1][Metric::CiderD]);
//!
//! let intervals = Bootstrap::default().intervals(&[evaluation])?;
//! let [low, high] = intervals[Metric::RougeL];
//! assert!(0.0 < low && low < high && high < 1.0);
//! # Ok::<(), metrics::ScoreError>(())
//! ```
//!
//! Invariant: but for METEOR's program, scores are pure functions of their arguments. Nothing here knows a tensor, a
//! dataset or another crate of this workspace, and equal input gives bit-equal output.
//!
//! A new metric is a file that makes a `Tally` of the captions and a row in `metric.rs`.

mod bleu;
pub mod bootstrap;
mod cider;
mod corpus;
pub mod diversity;
mod error;
mod evaluation;
mod given;
mod meteor;
mod metric;
mod ngrams;
mod rouge;
mod scores;
mod tally;
pub mod tokenize;

pub use cider::{DocumentFrequency, cider_d};
pub use error::ScoreError;
pub use evaluation::{Evaluation, Scorer, score};
pub use meteor::{MeteorError, MeteorSource};
pub use metric::Metric;
pub use scores::Scores;

/// The words of one caption, in order, as [`tokenize::caption_tokens`] makes them.
pub type Tokens = Vec<String>;
