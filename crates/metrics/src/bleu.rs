//! BLEU-1..4 (Papineni et al. 2002) with the constants of pycocoevalcap's `BleuScorer`.
//!
//! Clipped n-gram precision, geometric mean, brevity penalty against the closest reference length (the shorter of
//! two that are equally close). A score is never exactly 0/0: counts are smoothed by constants that vanish beside a
//! real count.

use std::sync::Arc;

use crate::corpus::{Corpus, Image};
use crate::ngrams::{Caption, MAX_ORDER, order_index};
use crate::tally::{Tallied, Tally};

pub(crate) const PROTOCOL: &str = "corpus level, closest reference length, brevity penalty";

/// Added to a numerator, so that the geometric mean of no matches stays defined.
const TINY: f64 = 1e-15;
/// Added to a denominator, so that nothing divides by zero.
const SMALL: f64 = 1e-9;

/// What BLEU counts in one caption. The sum over images is all that a corpus score needs, so the score of any sample
/// of images costs a few additions each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BleuCounts {
    /// Words of the hypothesis.
    hypothesis_length: usize,
    /// Words of the reference whose length is closest.
    reference_length: usize,
    /// Clipped matches of each order.
    correct: [usize; MAX_ORDER],
    /// N-grams of each order in the hypothesis.
    guessed: [usize; MAX_ORDER],
}

impl BleuCounts {
    fn of(image: &Image) -> Self {
        let hypothesis = &image.hypothesis;
        let length = hypothesis.words.len();
        let mut correct = [0; MAX_ORDER];
        for (ngram, count) in &hypothesis.ngrams {
            let allowed = image.references.iter().map(|reference| reference.count(ngram)).max();
            correct[order_index(ngram)] += allowed.unwrap_or(0).min(*count) as usize;
        }
        Self {
            hypothesis_length: length,
            reference_length: closest_length(&image.references, length),
            correct,
            guessed: std::array::from_fn(|index| length.saturating_sub(index)),
        }
    }

    /// BLEU-1..4 of these counts.
    fn bleu(&self) -> [f64; MAX_ORDER] {
        let ratio = (self.hypothesis_length as f64 + TINY) / (self.reference_length as f64 + SMALL);
        let brevity_penalty = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        std::array::from_fn(|index| {
            product *= (self.correct[index] as f64 + TINY) / (self.guessed[index] as f64 + SMALL);
            product.powf(1.0 / (index + 1) as f64) * brevity_penalty
        })
    }
}

impl std::iter::Sum for BleuCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, other| {
            sum.hypothesis_length += other.hypothesis_length;
            sum.reference_length += other.reference_length;
            for index in 0..MAX_ORDER {
                sum.correct[index] += other.correct[index];
                sum.guessed[index] += other.guessed[index];
            }
            sum
        })
    }
}

/// The reference length nearest to `length`; of two that are equally near, the shorter.
fn closest_length(references: &[Caption], length: usize) -> usize {
    references
        .iter()
        .map(|reference| reference.words.len())
        .min_by_key(|&reference| (reference.abs_diff(length), reference))
        .unwrap_or(0)
}

/// The counts of each image.
pub(crate) fn counts(corpus: &Corpus) -> Arc<[BleuCounts]> {
    corpus.images.iter().map(BleuCounts::of).collect()
}

/// BLEU over runs of up to `order` words.
#[derive(Debug)]
struct Bleu {
    counts: Arc<[BleuCounts]>,
    order: usize,
}

impl Tally for Bleu {
    fn score(&self, sample: &[usize]) -> f64 {
        sample.iter().map(|&image| self.counts[image]).sum::<BleuCounts>().bleu()[self.order - 1]
    }
}

/// BLEU over runs of up to `order` words (1 to 4), from the counts of each image.
pub(crate) fn tally(counts: Arc<[BleuCounts]>, order: usize) -> Tallied {
    Tallied::new(Bleu { counts, order })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokens;
    use crate::ngrams::WordIds;

    fn tokens(caption: &str) -> Tokens {
        caption.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_short_hypothesis_scores_as_counted_by_hand() {
        let references = vec![tokens("the cat is on the mat"), tokens("there is a cat on the mat")];
        let corpus =
            Corpus::new(&[references], &[tokens("the cat the cat on mat")], &WordIds::new()).unwrap();
        let bleu = counts(&corpus)[0].bleu();
        // Six words beside a reference of six: no penalty. Words: the 2, cat 1 (of 2), on 1, mat 1 = 5 of 6.
        // Pairs: "the cat" 1 (of 2), "cat on" 1; "cat the", "on mat" 0 = 2 of 5. Triples: "the cat on" 0 … = 0 of 4.
        let expected: [f64; 2] = [5.0 / 6.0, (5.0_f64 / 6.0 * 2.0 / 5.0).sqrt()];
        for (ours, by_hand) in bleu.into_iter().zip(expected) {
            assert!((ours - by_hand).abs() < 1e-8, "{ours} is not {by_hand}");
        }
        assert!(bleu[2] < 1e-5 && bleu[3] < 1e-5);
    }

    #[test]
    fn a_hypothesis_half_as_long_pays_the_brevity_penalty() {
        let corpus = Corpus::new(&[vec![tokens("a b c d")]], &[tokens("a b")], &WordIds::new()).unwrap();
        assert!((counts(&corpus)[0].bleu()[0] - (-1.0_f64).exp()).abs() < 1e-8);
    }

    #[test]
    fn of_two_equally_close_references_the_shorter_counts() {
        let lengths = [3, 5].map(|length| Caption::new(vec![1; length]));
        assert_eq!(closest_length(&lengths, 4), 3);
        assert_eq!(closest_length(&lengths, 5), 5);
    }
}
