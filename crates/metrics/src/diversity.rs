//! How varied captions are, and how long: what the scores of single captions do not show.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::Tokens;

/// How varied the captions of a system are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diversity {
    /// Different words among all words of the captions (distinct-1, Li et al. 2016).
    pub distinct_1: f64,
    /// Different pairs of neighbouring words among all pairs (distinct-2).
    pub distinct_2: f64,
    /// Different words used.
    pub vocabulary: usize,
    /// Number of different captions.
    pub captions: usize,
    /// Share of captions that no train image has; unknown without train captions.
    pub not_in_train: Option<f64>,
    /// Share of captions that say a word twice in a row or a pair of words twice.
    pub repetition: f64,
}

/// Lengths of captions in words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lengths {
    /// Mean words per caption.
    pub mean: f64,
    /// Standard deviation of the words per caption, over all captions.
    pub deviation: f64,
    /// Words of the shortest caption.
    pub shortest: usize,
    /// Words of the longest caption.
    pub longest: usize,
}

/// Measures `captions`; `train` holds the captions that the system learnt from.
#[must_use]
pub fn diversity(captions: &[Tokens], train: Option<&HashSet<Tokens>>) -> Diversity {
    let words: HashSet<&String> = captions.iter().flatten().collect();
    let pairs: HashSet<&[String]> = captions.iter().flat_map(|caption| caption.windows(2)).collect();
    let word_count = captions.iter().map(Vec::len).sum();
    let pair_count = captions.iter().map(|caption| caption.len().saturating_sub(1)).sum();
    let count = |wanted: &dyn Fn(&&Tokens) -> bool| captions.iter().filter(wanted).count();
    Diversity {
        distinct_1: share(words.len(), word_count),
        distinct_2: share(pairs.len(), pair_count),
        vocabulary: words.len(),
        captions: captions.iter().collect::<HashSet<_>>().len(),
        not_in_train: train.map(|train| share(count(&|caption| !train.contains(*caption)), captions.len())),
        repetition: share(count(&|caption| repeats(caption)), captions.len()),
    }
}

fn repeats(caption: &[String]) -> bool {
    let pairs: HashSet<&[String]> = caption.windows(2).collect();
    pairs.len() + 1 < caption.len() || pairs.iter().any(|pair| pair[0] == pair[1])
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Lengths of `captions`; all 0 when there are none.
#[must_use]
pub fn lengths<'a>(captions: impl IntoIterator<Item = &'a Tokens>) -> Lengths {
    let lengths: Vec<usize> = captions.into_iter().map(Vec::len).collect();
    let count = lengths.len().max(1) as f64;
    let mean = lengths.iter().sum::<usize>() as f64 / count;
    let variance = lengths.iter().map(|&length| (length as f64 - mean).powi(2)).sum::<f64>() / count;
    Lengths {
        mean,
        deviation: variance.sqrt(),
        shortest: lengths.iter().copied().min().unwrap_or(0),
        longest: lengths.iter().copied().max().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(captions: &[&str]) -> Vec<Tokens> {
        captions.iter().map(|caption| caption.split_whitespace().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn counts_as_by_hand() {
        let captions = tokens(&["a dog runs", "a dog and a dog", "a red red ball", "a dog runs", ""]);
        let train = HashSet::from_iter(tokens(&["a dog runs"]));
        let found = diversity(&captions, Some(&train));
        // Words: a dog runs and red ball = 6 of 15. Pairs: a-dog dog-runs dog-and and-a a-red red-red red-ball = 7 of 11.
        assert_eq!((found.distinct_1, found.distinct_2), (6.0 / 15.0, 7.0 / 11.0));
        assert_eq!((found.vocabulary, found.captions), (6, 4));
        assert_eq!((found.not_in_train, found.repetition), (Some(3.0 / 5.0), 2.0 / 5.0));
        assert_eq!(diversity(&captions, None).not_in_train, None);
    }

    #[test]
    fn lengths_are_those_of_the_words() {
        let found = lengths(&tokens(&["a b", "a b c d"]));
        assert_eq!(found, Lengths { mean: 3.0, deviation: 1.0, shortest: 2, longest: 4 });
    }

    #[test]
    fn nothing_is_no_accident() {
        assert_eq!(diversity(&[], None).distinct_2, 0.0);
        assert_eq!(diversity(&tokens(&["", ""]), None).repetition, 0.0);
        assert_eq!(lengths(&[]).mean, 0.0);
    }
}
