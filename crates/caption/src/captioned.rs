//! What comes out: captions with their words, best first.

use std::sync::Arc;

use artifacts::vocabulary::Vocabulary;
use model::search::Hypothesis;
use serde::{Serialize, Serializer};

use crate::photo::Seen;

/// What is said of one photo, and what of it was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Captioned {
    /// At least one and at most `beam_size` captions, best first.
    pub captions: Vec<Caption>,
    /// Rows and columns of [`Word::attention`].
    pub grid: [usize; 2],
    /// Where on the photo that grid lies.
    pub seen: Seen,
}

/// A caption that the search found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Caption {
    /// The words with a space between them, as `evaluate` writes them.
    pub caption: String,
    /// Sum of the natural log-probabilities of its words, and of its end when it has one.
    pub log_probability: f64,
    /// Whether it came to an end before the longest allowed length.
    pub finished: bool,
    /// In their order; punctuation is no word.
    pub words: Vec<Word>,
}

/// A word of a caption.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Word {
    /// As the vocabulary spells it, in lower case.
    pub text: String,
    /// Natural log-probability of the word after those before it.
    pub log_probability: f64,
    /// Share of attention on each region when it was written, row by row from the top left, for decoders that attend.
    #[serde(serialize_with = "shares")]
    pub attention: Option<Arc<[f32]>>,
}

fn shares<S: Serializer>(attention: &Option<Arc<[f32]>>, serializer: S) -> Result<S::Ok, S::Error> {
    attention.as_deref().serialize(serializer)
}

impl Captioned {
    /// The first of `captions`, the most probable by the search.
    pub fn best(&self) -> &Caption {
        &self.captions[0]
    }
}

impl Caption {
    pub(crate) fn new(hypothesis: Hypothesis, vocabulary: &Vocabulary) -> Caption {
        let texts = vocabulary.decode(&hypothesis.ids);
        let mut attention = hypothesis.attention.into_iter();
        let words: Vec<Word> = texts
            .iter()
            .zip(hypothesis.log_probabilities)
            .map(|(text, log_probability)| Word {
                text: (*text).to_owned(),
                log_probability,
                attention: attention.next(),
            })
            .collect();
        Caption {
            caption: texts.join(" "),
            log_probability: hypothesis.log_probability,
            finished: hypothesis.finished,
            words,
        }
    }
}
