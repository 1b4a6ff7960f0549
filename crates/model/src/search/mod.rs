//! Captions out of a decoder, written once for all of them and for every engine: beam search and sampling, batched over images; and
//! how probable given captions are.
//!
//! A caption always comes out: where none reaches `<eos>` in time, an unfinished one is returned and marked so.
//! `<pad>`, `<bos>` and `<unk>` are never written, and no caption is empty.

mod beam;
mod candidates;
mod consensus;
mod likelihood;
mod sample;
mod settings;
mod step;

use crate::problem::Problem;

pub use beam::{Hypothesis, beam_search};
pub use likelihood::log_likelihoods;
pub use sample::sample;
pub use settings::{SampleSettings, SearchSettings};
pub use step::{Step, Stepper, Table};

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
    /// The engine refused.
    #[error("search failed: {0}")]
    Engine(Box<dyn std::error::Error + Send + Sync>),
}

/// Fails for a setting that makes no sense.
///
/// # Errors
///
/// That one.
pub fn check(problem: Option<Problem>) -> Result<(), SearchError> {
    problem.map_or(Ok(()), |problem| Err(problem.into()))
}

fn check_numbers(table: &Table) -> Result<(), SearchError> {
    let numbers = !table.values.iter().any(|value| value.is_nan());
    numbers.then_some(()).ok_or(SearchError::NotANumber)
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> SearchError {
    SearchError::Engine(Box::new(error))
}

#[cfg(test)]
mod tests;
