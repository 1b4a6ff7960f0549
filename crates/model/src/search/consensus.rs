//! The caption that the others agree with: minimum Bayes risk decoding (Kumar & Byrne 2004,
//! <https://aclanthology.org/N04-1022>).
//!
//! The most probable caption need not be like the others that are probable. Where a metric rewards n-grams that people
//! share, the one that shares most with all of them is the better answer.

use std::collections::HashMap;

use super::Hypothesis;

/// The longest n-grams that captions are compared by, as in BLEU and CIDEr.
const MAX_ORDER: usize = 4;

/// `captions` in the order of their expected agreement with one another, where each counts by its probability to the
/// `power`; what is equal stays in its order.
///
/// The agreement of two captions is the Dice coefficient of all their n-grams of 1 to 4 words, from 0 (no common word)
/// to 1 (equal).
pub(super) fn by_agreement(captions: Vec<Hypothesis>, power: f64) -> Vec<Hypothesis> {
    let best = captions.iter().map(|caption| caption.log_probability).fold(f64::NEG_INFINITY, f64::max);
    // Beside the most probable one, because the power of a small probability may be 0.
    let weights: Vec<f64> =
        captions.iter().map(|caption| ((caption.log_probability - best) * power).exp()).collect();
    let ngrams: Vec<Ngrams> = captions.iter().map(|caption| Ngrams::new(&caption.ids)).collect();
    let expected = |one: &Ngrams| -> f64 {
        weights.iter().zip(&ngrams).map(|(weight, other)| weight * one.agreement(other)).sum()
    };
    let scores: Vec<f64> = ngrams.iter().map(expected).collect();
    let mut ranked: Vec<(f64, Hypothesis)> = scores.into_iter().zip(captions).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().map(|(_, caption)| caption).collect()
}

/// How often each n-gram stands in a caption.
struct Ngrams<'a> {
    counts: HashMap<&'a [u32], usize>,
    total: usize,
}

impl<'a> Ngrams<'a> {
    fn new(ids: &'a [u32]) -> Ngrams<'a> {
        let mut counts = HashMap::new();
        let mut total = 0;
        for ngram in (1..=MAX_ORDER).flat_map(|order| ids.windows(order)) {
            *counts.entry(ngram).or_default() += 1;
            total += 1;
        }
        Ngrams { counts, total }
    }

    fn agreement(&self, other: &Ngrams) -> f64 {
        let of_other = |ngram| other.counts.get(ngram).copied().unwrap_or(0);
        let common: usize = self.counts.iter().map(|(ngram, &count)| count.min(of_other(ngram))).sum();
        2.0 * common as f64 / (self.total + other.total).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caption(ids: &[u32], probability: f64) -> Hypothesis {
        let log_probability = probability.ln();
        Hypothesis {
            ids: ids.to_vec(),
            log_probability,
            log_probabilities: vec![],
            finished: true,
            attention: vec![],
        }
    }

    #[test]
    fn agreement_is_the_share_of_common_ngrams() {
        let agreement = |a: &[u32], b: &[u32]| Ngrams::new(a).agreement(&Ngrams::new(b));
        // Of 4 + 3 + 2 + 1 n-grams each, the first three words share 3 + 2 + 1.
        assert_eq!(agreement(&[4, 5, 6, 7], &[4, 5, 6, 8]), 0.6);
        assert_eq!(agreement(&[4, 5], &[4, 5]), 1.0);
        assert_eq!(agreement(&[4, 5], &[6, 7]), 0.0);
        // A word twice on one side is common once: 2 · 1 / (3 + 1).
        assert_eq!(agreement(&[4, 4], &[4]), 0.5);
    }

    #[test]
    fn what_the_others_agree_with_comes_before_what_is_likeliest() {
        let captions = || {
            vec![
                caption(&[9, 8], 0.4),
                caption(&[4, 5, 7], 0.2),
                caption(&[4, 5, 6], 0.3),
                caption(&[4, 5], 0.1),
            ]
        };
        let order = |power| -> Vec<Vec<u32>> {
            by_agreement(captions(), power).into_iter().map(|caption| caption.ids).collect()
        };
        // Dice: of two of three words with each other 1/2, with the pair of words 2/3. So [4, 5, 6] expects
        // 0.3 + 0.2/2 + 0.1·2/3 = 0.467, [4, 5, 7] 0.417, [4, 5] 0.433, and [9, 8] only its own 0.4.
        assert_eq!(order(1.0), [vec![4, 5, 6], vec![4, 5], vec![4, 5, 7], vec![9, 8]]);
        // A high power leaves the most probable one alone.
        assert_eq!(order(20.0)[0], [9, 8]);
    }

    #[test]
    fn tiny_probabilities_still_count() {
        let mut captions: Vec<Hypothesis> = [[9, 8], [4, 5], [4, 6]].map(|ids| caption(&ids, 1.0)).into();
        for (caption, log_probability) in captions.iter_mut().zip([-4000.0, -4000.5, -4000.5]) {
            caption.log_probability = log_probability;
        }
        // [4, 5] and [4, 6] agree by 1/3: 0.607 · 4/3 is below 1, at the power of a half 0.779 · 4/3 above.
        assert_eq!(by_agreement(captions.clone(), 1.0)[0].ids, [9, 8]);
        assert_eq!(by_agreement(captions, 0.5)[0].ids, [4, 5]);
    }
}
