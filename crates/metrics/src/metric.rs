//! The metrics, one row each: everything that is known of a metric by name.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use crate::error::ScoreError;
use crate::given::Given;
use crate::tally::Tallied;
use crate::{bleu, cider, meteor, rouge};

/// Writes the enum and all that is asked of it from rows of `variant = key, name, protocol, tally`; the doc comment
/// of a row says what the metric is.
macro_rules! metrics {
    ($($(#[doc = $about:literal])+ $variant:ident = $key:literal, $name:literal, $protocol:expr, $tally:expr;)+) => {
        /// A caption metric. Higher is better, 0 is worst; all lie in 0..1 but CIDEr-D, which lies in 0..10.
        ///
        /// In files and settings a metric is written by its [key](Metric::key).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $($(#[doc = $about])+ $variant,)+
        }

        impl Metric {
            /// All metrics, in the order of tables.
            pub const ALL: &[Metric] = &[$(Metric::$variant),+];
            /// How many there are.
            pub const COUNT: usize = Metric::ALL.len();
            const KEYS: &[&str] = &[$($key),+];

            /// Its name in files and settings: `bleu_4`.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Metric::$variant => $key,)+ }
            }

            /// Its name for people: `BLEU-4`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Metric::$variant => $name,)+ }
            }

            /// What it is, in a sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Metric::$variant => concat!($($about),+).trim_ascii(),)+ }
            }

            /// How it was computed, in the words that must stand beside a published number.
            #[must_use]
            pub const fn protocol(self) -> &'static str {
                match self { $(Metric::$variant => $protocol,)+ }
            }

            /// Reads the captions.
            pub(crate) fn tally(self, given: &Given<'_>) -> Result<Tallied, ScoreError> {
                let tally: fn(&Given<'_>) -> Result<Tallied, ScoreError> = match self {
                    $(Metric::$variant => $tally,)+
                };
                tally(given)
            }
        }
    };
}

metrics! {
    /// Words that a reference also has, with a penalty for short captions.
    Bleu1 = "bleu_1", "BLEU-1", bleu::PROTOCOL, |given| Ok(bleu::tally(given.bleu_counts(), 1));
    /// Runs of up to 2 words that a reference also has, with a penalty for short captions.
    Bleu2 = "bleu_2", "BLEU-2", bleu::PROTOCOL, |given| Ok(bleu::tally(given.bleu_counts(), 2));
    /// Runs of up to 3 words that a reference also has, with a penalty for short captions.
    Bleu3 = "bleu_3", "BLEU-3", bleu::PROTOCOL, |given| Ok(bleu::tally(given.bleu_counts(), 3));
    /// Runs of up to 4 words that a reference also has, with a penalty for short captions.
    Bleu4 = "bleu_4", "BLEU-4", bleu::PROTOCOL, |given| Ok(bleu::tally(given.bleu_counts(), 4));
    /// Words aligned with one reference, by stems, synonyms and paraphrases too.
    Meteor = "meteor", "METEOR", meteor::PROTOCOL,
        |given| Ok(meteor::tally(given.references, given.hypotheses, given.meteor)?);
    /// The longest common subsequence with a reference.
    RougeL = "rouge_l", "ROUGE-L", rouge::PROTOCOL, |given| Ok(rouge::tally(&given.corpus));
    /// Runs of up to 4 words, weighted by how rare they are in the references.
    CiderD = "cider_d", "CIDEr-D", cider::PROTOCOL, |given| Ok(cider::tally(&given.corpus, &given.frequency));
}

impl Metric {
    /// The inverse of [`key`](Metric::key); `None` for any other text.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Metric> {
        Metric::ALL.iter().copied().find(|metric| metric.key() == key)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        Metric::from_key(&key).ok_or_else(|| D::Error::unknown_variant(&key, Metric::KEYS))
    }
}
