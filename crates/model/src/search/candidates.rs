//! The next words worth trying.

use artifacts::vocabulary::{BOS, EOS, PAD, UNK};
use tch::{Kind, Tensor};

use super::{SearchError, log_probabilities};

/// The most probable next words of every row.
pub(super) struct Candidates {
    count: usize,
    words: Vec<i64>,
    log_probabilities: Vec<f64>,
}

impl Candidates {
    /// The best `count` words of every row of `logits [rows, vocabulary]`, `<eos>` among them where captions `may_end`,
    /// and none of the `banned` pairs of row and word.
    pub(super) fn new(
        logits: &Tensor,
        count: usize,
        may_end: bool,
        banned: &[(usize, u32)],
    ) -> Result<Candidates, SearchError> {
        let log_probabilities = log_probabilities(logits)?;
        let (vocabulary, device) = (log_probabilities.size2()?.1, log_probabilities.device());
        let never: &[u32] = if may_end { &[PAD, BOS, UNK] } else { &[PAD, BOS, UNK, EOS] };
        let never: Vec<i64> = never.iter().map(|&id| i64::from(id)).collect();
        let never = Tensor::f_from_slice(&never)?.f_to_device(device)?;
        let log_probabilities = log_probabilities.f_index_fill(1, &never, f64::NEG_INFINITY)?;
        if !banned.is_empty() {
            let places = banned.iter().map(|&(row, word)| row as i64 * vocabulary + i64::from(word));
            let places = Tensor::f_from_slice(&places.collect::<Vec<_>>())?.f_to_device(device)?;
            let _ = log_probabilities.f_view([-1])?.f_index_fill_(0, &places, f64::NEG_INFINITY)?;
        }
        let count = count.min(vocabulary as usize);
        let (values, words) = log_probabilities.f_topk(count as i64, -1, true, true)?;
        Ok(Candidates {
            count,
            words: Vec::try_from(words.f_reshape([-1])?)?,
            log_probabilities: Vec::try_from(values.f_to_kind(Kind::Double)?.f_reshape([-1])?)?,
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
