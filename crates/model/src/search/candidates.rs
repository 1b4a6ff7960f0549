//! The next words worth trying.

use artifacts::vocabulary::{BOS, EOS, PAD, SPECIAL, UNK};

use super::step::Table;
use super::{SearchError, check_numbers};

/// The most probable next words of every row, best first.
pub(super) struct Candidates(Vec<Vec<(u32, f64)>>);

impl Candidates {
    /// The best `count` words of every row of `log_probabilities [rows, vocabulary]`, `<eos>` among them where captions
    /// `may_end`, and none of the `banned` words of each row.
    pub(super) fn new(
        log_probabilities: &Table,
        count: usize,
        may_end: bool,
        banned: &[Vec<u32>],
    ) -> Result<Candidates, SearchError> {
        if log_probabilities.columns <= SPECIAL.len() {
            return Err(SearchError::NoWords);
        }
        check_numbers(log_probabilities)?;
        let never: &[u32] = if may_end { &[PAD, BOS, UNK] } else { &[PAD, BOS, UNK, EOS] };
        let best = log_probabilities.rows().zip(banned).map(|(row, banned)| {
            let words = (0u32..).zip(row).filter(|(word, log_probability)| {
                log_probability.is_finite() && !never.contains(word) && !banned.contains(word)
            });
            best(words.map(|(word, &log_probability)| (word, f64::from(log_probability))), count)
        });
        Ok(Candidates(best.collect()))
    }

    /// Words of a row with their log-probabilities, best first.
    pub(super) fn of_row(&self, row: usize) -> impl Iterator<Item = (u32, f64)> {
        self.0[row].iter().copied()
    }
}

/// The `count` most probable words, best first; of equal ones those with the smaller ids.
fn best(words: impl Iterator<Item = (u32, f64)>, count: usize) -> Vec<(u32, f64)> {
    let mut best: Vec<(u32, f64)> = Vec::with_capacity(count + 1);
    for word in words {
        // Most words are worse than all that were kept.
        if best.len() == count && best.last().is_none_or(|worst| worst.1 >= word.1) {
            continue;
        }
        best.insert(best.partition_point(|kept| kept.1 >= word.1), word);
        best.truncate(count);
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_those_that_sorting_finds(scores in proptest::collection::vec(-9i32..0, 0..40), count in 0usize..12) {
            let words: Vec<(u32, f64)> = (0u32..).zip(scores).map(|(word, score)| (word, score.into())).collect();
            let mut sorted = words.clone();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
            sorted.truncate(count);
            prop_assert_eq!(best(words.into_iter(), count), sorted);
        }
    }
}
