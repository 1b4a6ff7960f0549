//! Counting words.

use std::collections::HashMap;

use artifacts::vocabulary::{SPECIAL, Vocabulary, VocabularyError};

/// How often each word occurs, as far as they were added.
#[derive(Default)]
pub(crate) struct Counts(HashMap<String, u32>);

impl Counts {
    /// Counts the words of one caption.
    pub(crate) fn add(&mut self, words: &[String]) {
        for word in words.iter().filter(|word| !SPECIAL.contains(&word.as_str())) {
            match self.0.get_mut(word) {
                Some(count) => *count = count.saturating_add(1),
                None => drop(self.0.insert(word.clone(), 1)),
            }
        }
    }

    /// How often the commonest word occurs.
    pub(crate) fn most(&self) -> u32 {
        self.0.values().copied().max().unwrap_or(0)
    }

    /// The words that occur at least `min_count` times, most frequent first, ties in alphabetical order.
    pub(crate) fn vocabulary(self, min_count: u32) -> Result<Vocabulary, VocabularyError> {
        let mut words: Vec<_> = self.0.into_iter().filter(|(_, count)| *count >= min_count).collect();
        words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Vocabulary::new(words.into_iter().map(|(word, _)| word))
    }
}

#[cfg(test)]
mod tests {
    use artifacts::vocabulary::UNK;

    use super::*;
    use proptest::prelude::*;

    fn build<'a>(captions: impl IntoIterator<Item = &'a Vec<String>>, min_count: u32) -> Vocabulary {
        let mut counts = Counts::default();
        captions.into_iter().for_each(|caption| counts.add(caption));
        counts.vocabulary(min_count).unwrap()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn rare_words_become_unknown_and_frequent_ones_come_first() {
        let captions = [words("a dog runs"), words("a cat sits"), words("a dog sits down")];
        let vocabulary = build(&captions, 2);
        let frequent: Vec<&str> = (UNK + 1..vocabulary.len() as u32).map(|id| vocabulary.word(id)).collect();
        assert_eq!(frequent, ["a", "dog", "sits"]);
        assert_eq!(vocabulary.id("runs"), UNK);
    }

    proptest! {
        #[test]
        fn known_words_survive_a_round_trip(caption in prop::collection::vec("[a-z]{1,6}", 1..12)) {
            let vocabulary = build([&caption], 1);
            prop_assert_eq!(vocabulary.decode(&vocabulary.encode(&caption)), caption);
        }
    }
}
