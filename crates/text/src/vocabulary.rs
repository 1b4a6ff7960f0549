//! Counting words.

use std::collections::HashMap;

use artifacts::vocabulary::{SPECIAL, Vocabulary, VocabularyError};

/// How often each word occurs.
pub(crate) fn count<'a>(captions: impl Iterator<Item = &'a [String]>) -> HashMap<&'a str, u32> {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for word in captions.flatten().filter(|word| !SPECIAL.contains(&word.as_str())) {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// The words that occur at least `min_count` times, most frequent first, ties in alphabetical order.
pub(crate) fn build(counts: HashMap<&str, u32>, min_count: u32) -> Result<Vocabulary, VocabularyError> {
    let mut words: Vec<_> = counts.into_iter().filter(|(_, count)| *count >= min_count).collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    Vocabulary::new(words.into_iter().map(|(word, _)| word.to_owned()))
}

#[cfg(test)]
mod tests {
    use artifacts::vocabulary::UNK;

    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn rare_words_become_unknown_and_frequent_ones_come_first() {
        let captions = [words("a dog runs"), words("a cat sits"), words("a dog sits down")];
        let vocabulary = build(count(captions.iter().map(Vec::as_slice)), 2).unwrap();
        let frequent: Vec<&str> = (UNK + 1..vocabulary.len() as u32).map(|id| vocabulary.word(id)).collect();
        assert_eq!(frequent, ["a", "dog", "sits"]);
        assert_eq!(vocabulary.id("runs"), UNK);
    }

    proptest! {
        #[test]
        fn known_words_survive_a_round_trip(caption in prop::collection::vec("[a-z]{1,6}", 1..12)) {
            let vocabulary = build(count([caption.as_slice()].into_iter()), 1).unwrap();
            prop_assert_eq!(vocabulary.decode(&vocabulary.encode(&caption)), caption);
        }
    }
}
