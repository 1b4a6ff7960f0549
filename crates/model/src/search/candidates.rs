//! The next words worth trying.

use artifacts::vocabulary::{BOS, PAD, UNK};
use tch::{Kind, Tensor};

use super::{SearchError, log_probabilities};

/// The most probable next words of every row.
pub(super) struct Candidates {
    count: usize,
    words: Vec<i64>,
    log_probabilities: Vec<f64>,
}

impl Candidates {
    pub(super) fn new(logits: &Tensor, count: usize) -> Result<Candidates, SearchError> {
        let log_probabilities = log_probabilities(logits)?;
        let never = Tensor::from_slice(&[PAD, BOS, UNK].map(i64::from)).to_device(log_probabilities.device());
        let log_probabilities = log_probabilities.index_fill(1, &never, f64::NEG_INFINITY);
        let count = count.min(log_probabilities.size()[1] as usize - 3);
        let (values, words) = log_probabilities.topk(count as i64, -1, true, true);
        Ok(Candidates {
            count,
            words: Vec::try_from(words.reshape([-1]))?,
            log_probabilities: Vec::try_from(values.to_kind(Kind::Double).reshape([-1]))?,
        })
    }

    /// Words of a row with their log-probabilities, best first.
    pub(super) fn of_row(&self, row: usize) -> impl Iterator<Item = (u32, f64)> {
        let range = row * self.count..(row + 1) * self.count;
        let words = self.words[range.clone()].iter().map(|&word| word as u32);
        let scored = words.zip(self.log_probabilities[range].iter().copied());
        scored.filter(|(_, log_probability)| log_probability.is_finite())
    }
}
