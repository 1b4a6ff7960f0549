//! Caption search, written once for every decoder: beam search, batched over images.
//!
//! A caption always comes out: when no hypothesis reaches `<eos>` in time, the best unfinished one is returned and
//! marked so. `<pad>`, `<bos>` and `<unk>` are never written, and no caption is empty.

use std::sync::Arc;

use artifacts::vocabulary::{BOS, EOS, PAD, UNK};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::decoder::{Decoder, Rows};

/// How captions are searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SearchSettings {
    /// Hypotheses kept at each step; 1 is greedy search.
    pub beam_size: usize,
    /// Longest caption in words; one that has not ended by then is cut.
    pub max_length: usize,
    /// Beams are ranked by log-probability divided by length to this power: 0 favours short captions, 1 is the mean
    /// log-probability of a word.
    pub length_penalty: f64,
}

impl Default for SearchSettings {
    fn default() -> Self {
        SearchSettings { beam_size: 3, max_length: 30, length_penalty: 1.0 }
    }
}

/// One caption that the search found.
#[derive(Clone, Debug)]
pub struct Hypothesis {
    /// Words, without special tokens.
    pub ids: Vec<u32>,
    /// Sum of the log-probabilities of its words and its `<eos>`.
    pub log_probability: f64,
    /// The addends of that sum: one a word, and one for the `<eos>` of a finished caption.
    pub log_probabilities: Vec<f64>,
    /// Whether it ended with `<eos>`.
    pub finished: bool,
    /// Share of attention on each region, one entry a word, for decoders that attend.
    pub attention: Vec<Arc<[f32]>>,
}

impl Hypothesis {
    /// What beams are ranked by.
    fn score(&self, length_penalty: f64) -> f64 {
        let tokens = self.ids.len() + usize::from(self.finished);
        self.log_probability / (tokens.max(1) as f64).powf(length_penalty)
    }
}

/// A search that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The network gave NaN.
    #[error("the decoder gives scores that are not numbers: its weights are damaged or training diverged")]
    NotANumber,
    /// libtorch refused.
    #[error("search failed: {0}")]
    Torch(#[from] tch::TchError),
}

/// The best captions of each image of `memory`, best first, at least one and at most `beam_size` each.
pub fn beam_search(
    decoder: &dyn Decoder,
    memory: &Rows,
    settings: &SearchSettings,
) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
    tch::no_grad(|| search(decoder, memory, settings))
}

fn search(
    decoder: &dyn Decoder,
    memory: &Rows,
    settings: &SearchSettings,
) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
    let (first, device) = (&memory.0[0], memory.0[0].device());
    let images = first.size()[0] as usize;
    let empty = Hypothesis {
        ids: vec![],
        log_probability: 0.0,
        log_probabilities: vec![],
        finished: false,
        attention: vec![],
    };
    let mut beams: Vec<Beam> = (0..images).map(|_| Beam::new(empty.clone())).collect();
    let to_device = |values: &[i64]| Tensor::from_slice(values).to_device(device);
    let mut state = decoder.start(memory);
    let mut row_images: Vec<i64> = (0..images as i64).collect();
    let mut row_memory = Rows(memory.0.iter().map(Tensor::shallow_clone).collect());
    for _ in 0..settings.max_length.max(1) {
        let live = || beams.iter().flat_map(|beam| &beam.live);
        let words: Vec<i64> =
            live().map(|hypothesis| i64::from(*hypothesis.ids.last().unwrap_or(&BOS))).collect();
        if words.is_empty() {
            break;
        }
        let step = decoder.step(&row_memory, &state, &to_device(&words));
        let candidates = Candidates::new(step.logits, settings.beam_size + 1)?;
        let attention = step.attention.map(|attention| rows_of(&attention)).transpose()?;
        let mut parents = Vec::new();
        let mut images_of_parents = Vec::new();
        let mut first_row = 0;
        for (image, beam) in beams.iter_mut().enumerate() {
            let rows = first_row..first_row + beam.live.len();
            first_row = rows.end;
            let kept = beam.advance(rows, &candidates, attention.as_deref(), settings);
            images_of_parents.extend(kept.iter().map(|_| image as i64));
            parents.extend(kept.into_iter().map(|row| row as i64));
        }
        state = step.state.select(&to_device(&parents));
        if images_of_parents != row_images {
            row_memory = memory.select(&to_device(&images_of_parents));
            row_images = images_of_parents;
        }
    }
    Ok(beams.into_iter().map(|beam| beam.best(settings)).collect())
}

/// The log-probability of each caption under each image, `<eos>` included: `[images][captions]`.
///
/// What [`beam_search`] says of its own captions, for any others: captions are ids without special tokens.
pub fn log_probabilities(
    decoder: &dyn Decoder,
    memory: &Rows,
    captions: &[Vec<u32>],
) -> Result<Vec<Vec<f64>>, SearchError> {
    let (images, device) = (memory.0[0].size()[0], memory.0[0].device());
    let Some(longest) = captions.iter().map(Vec::len).max() else {
        return Ok(vec![vec![]; images as usize]);
    };
    let steps = longest + 1;
    let mut words = vec![i64::from(PAD); captions.len() * steps];
    let mut next = words.clone();
    for ((caption, words), next) in captions.iter().zip(words.chunks_mut(steps)).zip(next.chunks_mut(steps)) {
        let ids = || caption.iter().map(|&id| i64::from(id));
        words.iter_mut().zip(std::iter::once(i64::from(BOS)).chain(ids())).for_each(|(at, id)| *at = id);
        next.iter_mut().zip(ids().chain([i64::from(EOS)])).for_each(|(at, id)| *at = id);
    }
    let shape = [1, captions.len() as i64, steps as i64];
    let tensor = |ids: &[i64]| -> Result<Tensor, tch::TchError> {
        Tensor::f_from_slice(ids)?.f_view(shape)?.f_repeat([images, 1, 1])?.f_to_device(device)
    };
    let (words, next) = (tensor(&words)?, tensor(&next)?.f_flatten(0, 1)?);
    let sums = tch::no_grad(|| {
        let scores = decoder.forward(memory, &words, false).logits.log_softmax(-1, Kind::Float);
        let of_words = scores.gather(-1, &next.unsqueeze(-1), false).squeeze_dim(-1);
        (of_words * next.ne(i64::from(PAD))).sum_dim_intlist([1i64].as_slice(), false, Kind::Double)
    });
    let sums: Vec<f64> = Vec::try_from(sums)?;
    if sums.iter().any(|sum| sum.is_nan()) {
        return Err(SearchError::NotANumber);
    }
    Ok(sums.chunks(captions.len()).map(<[f64]>::to_vec).collect())
}

/// The hypotheses of one image.
struct Beam {
    live: Vec<Hypothesis>,
    finished: Vec<Hypothesis>,
}

impl Beam {
    fn new(first: Hypothesis) -> Beam {
        Beam { live: vec![first], finished: vec![] }
    }

    /// Extends every live hypothesis by its best words; returns the row that each new live hypothesis came from.
    fn advance(
        &mut self,
        rows: std::ops::Range<usize>,
        candidates: &Candidates,
        attention: Option<&[Arc<[f32]>]>,
        settings: &SearchSettings,
    ) -> Vec<usize> {
        let mut extended = Vec::new();
        for (hypothesis, row) in self.live.iter().zip(rows) {
            for (word, addend) in candidates.of_row(row) {
                extended.push((hypothesis.log_probability + addend, addend, row, hypothesis, word));
            }
        }
        extended.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut live, mut parents) = (Vec::new(), Vec::new());
        for (log_probability, addend, row, parent, word) in extended {
            if live.len() == settings.beam_size {
                break;
            }
            if word == EOS && parent.ids.is_empty() {
                continue;
            }
            let mut next = Hypothesis { log_probability, ..parent.clone() };
            next.log_probabilities.push(addend);
            if word == EOS {
                next.finished = true;
                self.finished.push(next);
                continue;
            }
            next.ids.push(word);
            next.attention.extend(attention.map(|attention| attention[row].clone()));
            live.push(next);
            parents.push(row);
        }
        // Enough captions have ended once none that is alive could still rank among the best.
        self.finished
            .sort_by(|a, b| b.score(settings.length_penalty).total_cmp(&a.score(settings.length_penalty)));
        self.finished.truncate(settings.beam_size);
        let worst =
            self.finished.get(settings.beam_size - 1).map(|worst| worst.score(settings.length_penalty));
        let hopeful = |hypothesis: &Hypothesis| {
            let longest = (settings.max_length as f64 + 1.0).powf(settings.length_penalty);
            worst.is_none_or(|worst| hypothesis.log_probability / longest > worst)
        };
        if !live.iter().any(hopeful) {
            live.clear();
            parents.clear();
        }
        self.live = live;
        parents
    }

    /// Finished captions by score; unfinished ones only where nothing finished.
    fn best(self, settings: &SearchSettings) -> Vec<Hypothesis> {
        let mut best = if self.finished.is_empty() { self.live } else { self.finished };
        best.sort_by(|a, b| b.score(settings.length_penalty).total_cmp(&a.score(settings.length_penalty)));
        best
    }
}

/// The most probable next words of every row.
struct Candidates {
    count: usize,
    words: Vec<i64>,
    log_probabilities: Vec<f64>,
}

impl Candidates {
    fn new(logits: Tensor, count: usize) -> Result<Candidates, SearchError> {
        let log_probabilities = logits.log_softmax(-1, Kind::Float);
        if log_probabilities.isnan().any().int64_value(&[]) != 0 {
            return Err(SearchError::NotANumber);
        }
        let never = Tensor::from_slice(&[PAD, BOS, UNK].map(i64::from)).to_device(log_probabilities.device());
        let log_probabilities = log_probabilities.index_fill(1, &never, f64::NEG_INFINITY);
        let count = count.min(log_probabilities.size()[1] as usize - 3);
        let (values, words) = log_probabilities.topk(count as i64, -1, true, true);
        Ok(Candidates {
            count,
            words: Vec::try_from(words.reshape([-1]))?,
            log_probabilities: Vec::try_from(values.to_kind(Kind::Double).reshape([-1]))?,
        })
    }

    fn of_row(&self, row: usize) -> impl Iterator<Item = (u32, f64)> {
        let range = row * self.count..(row + 1) * self.count;
        let words = self.words[range.clone()].iter().map(|&word| word as u32);
        let scored = words.zip(self.log_probabilities[range].iter().copied());
        scored.filter(|(_, log_probability)| log_probability.is_finite())
    }
}

/// The rows of a `[rows, size]` tensor.
fn rows_of(tensor: &Tensor) -> Result<Vec<Arc<[f32]>>, tch::TchError> {
    let size = tensor.size()[1] as usize;
    let values: Vec<f32> = Vec::try_from(tensor.to_kind(Kind::Float).reshape([-1]))?;
    Ok(values.chunks(size).map(Arc::from).collect())
}

#[cfg(test)]
mod tests;
