//! Captions as word ids, and the n-grams in them.
//!
//! Invariant: n-grams are kept sorted, so every sum over them runs in one order and is reproducible to the bit.

use std::collections::HashMap;

/// The longest n-gram that BLEU and CIDEr count.
pub(crate) const MAX_ORDER: usize = 4;

/// Up to [`MAX_ORDER`] word ids; unused places hold 0, which is no word's id.
pub(crate) type Ngram = [u32; MAX_ORDER];

/// Word to id, from 1 in order of first appearance.
pub(crate) type WordIds = HashMap<String, u32>;

/// Gives every word an id: the one in `known`, or a fresh one for a word that `known` lacks.
pub(crate) struct Interner<'a> {
    known: &'a WordIds,
    fresh: HashMap<&'a str, u32>,
}

impl<'a> Interner<'a> {
    pub(crate) fn new(known: &'a WordIds) -> Self {
        Self { known, fresh: HashMap::new() }
    }

    pub(crate) fn intern(&mut self, word: &'a str) -> u32 {
        if let Some(&id) = self.known.get(word) {
            return id;
        }
        let next = next_id(self.known.len() + self.fresh.len());
        *self.fresh.entry(word).or_insert(next)
    }
}

/// The id of the word that comes after `count` others.
pub(crate) fn next_id(count: usize) -> u32 {
    u32::try_from(count + 1).unwrap_or(u32::MAX)
}

/// One caption, ready to be compared.
pub(crate) struct Caption {
    /// Word ids in order.
    pub(crate) words: Vec<u32>,
    /// Each distinct n-gram of 1 to [`MAX_ORDER`] words with its count, sorted.
    pub(crate) ngrams: Vec<(Ngram, u32)>,
}

impl Caption {
    pub(crate) fn new(words: Vec<u32>) -> Self {
        let mut all: Vec<Ngram> = (1..=MAX_ORDER)
            .flat_map(|order| words.windows(order))
            .map(|window| {
                let mut ngram = [0; MAX_ORDER];
                ngram[..window.len()].copy_from_slice(window);
                ngram
            })
            .collect();
        all.sort_unstable();
        let ngrams = all
            .chunk_by(|a, b| a == b)
            .filter_map(|run| Some((*run.first()?, u32::try_from(run.len()).ok()?)))
            .collect();
        Self { words, ngrams }
    }

    /// How often `ngram` occurs in this caption.
    pub(crate) fn count(&self, ngram: &Ngram) -> u32 {
        self.ngrams.binary_search_by_key(ngram, |&(key, _)| key).map_or(0, |at| self.ngrams[at].1)
    }
}

/// Number of words in `ngram`, less one: its place in per-order arrays.
pub(crate) fn order_index(ngram: &Ngram) -> usize {
    ngram[1..].iter().take_while(|&&word| word != 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_order() {
        let caption = Caption::new(vec![7, 8, 7, 8]);
        assert_eq!(caption.count(&[7, 0, 0, 0]), 2);
        assert_eq!(caption.count(&[7, 8, 0, 0]), 2);
        assert_eq!(caption.count(&[8, 7, 8, 0]), 1);
        assert_eq!(caption.count(&[7, 8, 7, 8]), 1);
        assert_eq!(caption.count(&[9, 0, 0, 0]), 0);
        assert_eq!(order_index(&[8, 7, 8, 0]), 2);
    }

    #[test]
    fn unknown_words_get_ids_of_their_own() {
        let known = WordIds::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let mut interner = Interner::new(&known);
        let ids: Vec<u32> = ["b", "c", "d", "c", "a"].map(|word| interner.intern(word)).into();
        assert_eq!(ids, [2, 3, 4, 3, 1]);
    }
}
