//! How captions are searched and sampled.

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, above_0, at_least, first, not_negative, unless, within};

/// More hypotheses and longer captions than any search gains by: they size what it keeps.
const MOST_BEAMS: usize = 1000;
const MOST_WORDS: usize = 1000;

/// How captions are searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SearchSettings {
    /// Hypotheses kept at each step; 1 with a length penalty of 0 is greedy search (above 0 it may go on past an early
    /// `<eos>` for a better mean).
    pub beam_size: usize,
    /// Fewest words of a caption: before them, `<eos>` is not tried.
    pub min_length: usize,
    /// Longest caption in words; one that has not ended by then is cut.
    pub max_length: usize,
    /// Beams are ranked by log-probability divided by length to this power: 0 favours short captions, 1 is the mean
    /// log-probability of a word.
    pub length_penalty: f64,
    /// No caption writes the same n words in a row twice, for this n; 0 allows it.
    pub no_repeat_ngram: usize,
    /// Diverse beam search: the beam is divided into this many groups of the same size; 1 is plain beam search.
    pub groups: usize,
    /// How strongly a group avoids the words that earlier groups chose at the same step: taken off a word's
    /// log-probability for each time it was chosen. Only counts with several groups.
    pub diversity: f64,
    /// Above 0, finished captions are ranked by how much they agree with the others of the beam, each counting by its
    /// probability to this power (minimum Bayes risk; the beam should be wide); 0 ranks them as beams are.
    pub consensus: f64,
}

impl Default for SearchSettings {
    fn default() -> Self {
        SearchSettings {
            beam_size: 3,
            min_length: 1,
            max_length: 30,
            length_penalty: 1.0,
            no_repeat_ngram: 0,
            groups: 1,
            diversity: 0.5,
            consensus: 0.0,
        }
    }
}

impl SearchSettings {
    /// The first setting that makes no sense.
    pub fn problem(&self) -> Option<Problem> {
        let divides = self.groups == 0 || self.beam_size.is_multiple_of(self.groups);
        first([
            within(1..=MOST_BEAMS, "beam_size", self.beam_size),
            within(1..=MOST_WORDS, "max_length", self.max_length),
            unless(self.min_length > 0, "min_length", "must be at least 1: no caption is empty"),
            unless(self.min_length <= self.max_length, "min_length", "must not be above max_length"),
            not_negative("length_penalty", self.length_penalty),
            at_least(1, "groups", self.groups),
            unless(divides, "groups", "must divide beam_size"),
            not_negative("diversity", self.diversity),
            not_negative("consensus", self.consensus),
        ])
    }

    /// Hypotheses that a group keeps.
    pub(super) fn group_size(&self) -> usize {
        self.beam_size / self.groups
    }
}

/// How captions are sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SampleSettings {
    /// Scores are divided by it: below 1 likely words become likelier, above 1 less so.
    pub temperature: f64,
    /// Nucleus sampling (Holtzman et al. 2020, <https://arxiv.org/abs/1904.09751>): words are drawn from the fewest
    /// likeliest ones that together have this probability; 1 keeps all.
    pub top_p: f64,
    /// Longest caption in words; one that has not ended by then is cut.
    pub max_length: usize,
}

impl Default for SampleSettings {
    fn default() -> Self {
        SampleSettings { temperature: 1.0, top_p: 1.0, max_length: 30 }
    }
}

impl SampleSettings {
    /// The first setting that makes no sense.
    pub fn problem(&self) -> Option<Problem> {
        first([
            above_0("temperature", self.temperature),
            unless(self.top_p > 0.0 && self.top_p <= 1.0, "top_p", "must be above 0 and at most 1"),
            within(1..=MOST_WORDS, "max_length", self.max_length),
        ])
    }
}
