//! Captions out of a decoder, written once for all of them: beam search and sampling, batched over images; and how
//! probable given captions are.
//!
//! A caption always comes out: where none reaches `<eos>` in time, an unfinished one is returned and marked so.
//! `<pad>`, `<bos>` and `<unk>` are never written, and no caption is empty.

mod beam;
mod candidates;
mod consensus;
mod likelihood;
mod sample;
mod settings;

use artifacts::vocabulary::SPECIAL;
use tch::{Kind, Tensor};

use crate::problem::Problem;

pub use beam::{Hypothesis, beam_search};
pub use likelihood::log_likelihoods;
pub use sample::{Sample, sample};
pub use settings::{SampleSettings, SearchSettings};

/// A search that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A setting makes no sense.
    #[error(transparent)]
    Setting(#[from] Problem),
    /// The network gave NaN.
    #[error("the decoder gives scores that are not numbers: its weights are damaged or training diverged")]
    NotANumber,
    /// Nothing but special tokens.
    #[error("the vocabulary has no words")]
    NoWords,
    /// libtorch refused.
    #[error("search failed: {0}")]
    Torch(#[from] tch::TchError),
}

fn check(problem: Option<Problem>) -> Result<(), SearchError> {
    problem.map_or(Ok(()), |problem| Err(problem.into()))
}

/// Log-probabilities of `logits [rows, vocabulary]`.
fn log_probabilities(logits: &Tensor) -> Result<Tensor, SearchError> {
    if logits.size2()?.1 as usize <= SPECIAL.len() {
        return Err(SearchError::NoWords);
    }
    let log_probabilities = logits.f_log_softmax(-1, Kind::Float)?;
    if log_probabilities.f_isnan()?.f_any()?.f_int64_value(&[])? != 0 {
        return Err(SearchError::NotANumber);
    }
    Ok(log_probabilities)
}

#[cfg(test)]
mod tests;
