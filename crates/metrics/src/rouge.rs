//! ROUGE-L (Lin 2004) as pycocoevalcap computes it.
//!
//! The longest common subsequence against each reference gives a precision and a recall; the best precision and the
//! best recall, which may come from different references, meet in one F-measure.

use crate::corpus::{Corpus, Image};
use crate::tally::{Means, Tallied};

pub(crate) const PROTOCOL: &str = "beta 1.2, mean over images";

/// Weight of recall against precision.
const BETA: f64 = 1.2;

/// ROUGE-L of each image.
///
/// An empty hypothesis scores 0 even where a reference is empty too; pycocoevalcap calls that pair a perfect match.
pub(crate) fn tally(corpus: &Corpus) -> Tallied {
    Tallied::new(Means(corpus.images.iter().map(image_rouge_l).collect()))
}

fn image_rouge_l(image: &Image) -> f64 {
    let hypothesis = &image.hypothesis.words;
    let (mut precision, mut recall) = (0.0_f64, 0.0_f64);
    for reference in &image.references {
        let common = common_subsequence(hypothesis, &reference.words) as f64;
        if common > 0.0 {
            precision = precision.max(common / hypothesis.len() as f64);
            recall = recall.max(common / reference.words.len() as f64);
        }
    }
    if precision == 0.0 {
        return 0.0;
    }
    let beta_squared = BETA * BETA;
    (1.0 + beta_squared) * precision * recall / (recall + beta_squared * precision)
}

/// Length of the longest common subsequence of `a` and `b`.
fn common_subsequence(a: &[u32], b: &[u32]) -> usize {
    // `row[j]` is the answer for the words of `a` seen so far and the first `j` words of `b`.
    let mut row = vec![0; b.len() + 1];
    for word in a {
        let mut diagonal = 0;
        for (j, other) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if word == other { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_subsequence_need_not_be_contiguous() {
        assert_eq!(common_subsequence(&[1, 2, 3, 4], &[2, 9, 4]), 2);
        assert_eq!(common_subsequence(&[1, 1, 1], &[1]), 1);
        assert_eq!(common_subsequence(&[], &[1]), 0);
    }
}
