//! `text/vocabulary.json`: words and their ids. The same value travels inside every checkpoint.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::manifest::read_promised;

/// File name in the text folder.
pub const FILE: &str = "vocabulary.json";
/// Id of the padding token.
pub const PAD: u32 = 0;
/// Id of the token before the first word.
pub const BOS: u32 = 1;
/// Id of the token after the last word.
pub const EOS: u32 = 2;
/// Id of every word that is not in the vocabulary.
pub const UNK: u32 = 3;
/// The special tokens, in id order.
pub const SPECIAL: [&str; 4] = ["<pad>", "<bos>", "<eos>", "<unk>"];

/// Words in id order: the special tokens, then by falling frequency (ties in alphabetical order).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "File", into = "File")]
pub struct Vocabulary {
    words: Vec<String>,
    ids: HashMap<String, u32>,
}

#[derive(Serialize, Deserialize)]
struct File {
    words: Vec<String>,
}

/// A vocabulary that breaks its own rules.
#[derive(Debug, thiserror::Error)]
pub enum VocabularyError {
    /// The special tokens are not where every stage expects them.
    #[error("a vocabulary starts with {SPECIAL:?}, this one with {0:?}")]
    Special(Vec<String>),
    /// A word stands twice.
    #[error("the word `{0}` stands twice in the vocabulary")]
    Duplicate(String),
    /// The file is not there, or is not the one that was written.
    #[error(transparent)]
    File(#[from] crate::manifest::ManifestError),
    /// The file is not JSON, or its words break the rules above.
    #[error("{0}: {1}; run the text stage")]
    Unreadable(std::path::PathBuf, String),
}

impl Vocabulary {
    /// The special tokens followed by `words`.
    ///
    /// # Errors
    ///
    /// A word that stands twice or is one of the special tokens.
    pub fn new(words: impl IntoIterator<Item = String>) -> Result<Self, VocabularyError> {
        let special = SPECIAL.iter().map(|&word| word.to_owned());
        Self::try_from(File { words: special.chain(words).collect() })
    }

    /// Reads `vocabulary.json`.
    ///
    /// # Errors
    ///
    /// The file is not there, not the one that was written, lacks the special tokens, or has a word twice.
    pub fn read(path: &Path) -> Result<Self, VocabularyError> {
        let bytes = read_promised(path)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| VocabularyError::Unreadable(path.to_owned(), error.to_string()))
    }

    /// Number of ids, special tokens included.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Never true: the special tokens are always there.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words in the order of their ids, without the special tokens.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().skip(SPECIAL.len()).map(String::as_str)
    }

    /// The id of a word, [`UNK`] when it is not in the vocabulary (or only looks like a special token).
    pub fn id(&self, word: &str) -> u32 {
        self.ids.get(word).copied().unwrap_or(UNK).max(UNK)
    }

    /// The word of an id, `<unk>` when there is none.
    pub fn word(&self, id: u32) -> &str {
        self.words.get(id as usize).map_or(SPECIAL[UNK as usize], String::as_str)
    }

    /// For each of its ids, that of the same spelling in `other`.
    pub fn ids_in(&self, other: &Vocabulary) -> Vec<Option<u32>> {
        self.words.iter().map(|word| other.ids.get(word).copied()).collect()
    }

    /// `<bos>`, the ids of the words, `<eos>`.
    pub fn encode(&self, words: &[String]) -> Vec<u32> {
        let ids = words.iter().map(|word| self.id(word));
        std::iter::once(BOS).chain(ids).chain([EOS]).collect()
    }

    /// The words of a caption, without special tokens other than `<unk>`; stops at `<eos>`.
    pub fn decode(&self, ids: &[u32]) -> Vec<&str> {
        let ids = ids.iter().take_while(|&&id| id != EOS);
        ids.filter(|&&id| id != PAD && id != BOS).map(|&id| self.word(id)).collect()
    }
}

impl TryFrom<File> for Vocabulary {
    type Error = VocabularyError;

    fn try_from(file: File) -> Result<Self, VocabularyError> {
        let words = file.words;
        if words.len() < SPECIAL.len() || words[..SPECIAL.len()] != SPECIAL {
            return Err(VocabularyError::Special(words.into_iter().take(SPECIAL.len()).collect()));
        }
        let mut ids = HashMap::with_capacity(words.len());
        for (id, word) in words.iter().enumerate() {
            if ids.insert(word.clone(), id as u32).is_some() {
                return Err(VocabularyError::Duplicate(word.clone()));
            }
        }
        Ok(Vocabulary { words, ids })
    }
}

impl From<Vocabulary> for File {
    fn from(vocabulary: Vocabulary) -> File {
        File { words: vocabulary.words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_decodes_and_survives_json() {
        let vocabulary = Vocabulary::new(["dog".to_owned(), "a".to_owned()]).unwrap();
        let words = ["a", "dog", "barks", "<eos>"].map(str::to_owned);
        assert_eq!(vocabulary.encode(&words), [BOS, 5, 4, UNK, UNK, EOS]);
        assert_eq!(vocabulary.decode(&[BOS, 5, 4, EOS, 4]), ["a", "dog"]);
        let json = serde_json::to_string(&vocabulary).unwrap();
        assert_eq!(serde_json::from_str::<Vocabulary>(&json).unwrap(), vocabulary);
    }

    #[test]
    fn words_are_found_in_another_vocabulary_by_their_spelling() {
        let [ours, theirs] = [["dog", "runs", "sees"], ["sees", "Dog", "runs"]]
            .map(|words| Vocabulary::new(words.map(str::to_owned)).unwrap());
        let special = [PAD, BOS, EOS, UNK].map(Some);
        assert_eq!(ours.ids_in(&theirs), [&special[..], &[None, Some(6), Some(4)]].concat());
    }

    #[test]
    fn refuses_moved_special_tokens_and_duplicates() {
        assert!(serde_json::from_str::<Vocabulary>(r#"{"words":["a","b"]}"#).is_err());
        assert!(Vocabulary::new(["a".to_owned(), "a".to_owned()]).is_err());
    }
}
