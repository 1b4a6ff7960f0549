//! Beam search, batched over images.

use std::sync::Arc;

use artifacts::vocabulary::{BOS, EOS};
use tch::{Kind, Tensor};

use super::candidates::Candidates;
use super::{SearchError, SearchSettings, check};
use crate::decoder::{Decoder, Rows};

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

/// The best captions of each image of `memory`, best first, at least one and at most `beam_size` each.
pub fn beam_search(
    decoder: &dyn Decoder,
    memory: &Rows,
    settings: &SearchSettings,
) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
    check(settings.problem())?;
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
    for _ in 0..settings.max_length {
        let live = || beams.iter().flat_map(|beam| &beam.live);
        let words: Vec<i64> =
            live().map(|hypothesis| i64::from(*hypothesis.ids.last().unwrap_or(&BOS))).collect();
        if words.is_empty() {
            break;
        }
        let step = decoder.step(&row_memory, &state, &to_device(&words));
        let candidates = Candidates::new(&step.logits, settings.beam_size + 1)?;
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

/// The rows of a `[rows, size]` tensor.
fn rows_of(tensor: &Tensor) -> Result<Vec<Arc<[f32]>>, tch::TchError> {
    let size = tensor.size()[1] as usize;
    let values: Vec<f32> = Vec::try_from(tensor.to_kind(Kind::Float).reshape([-1]))?;
    Ok(values.chunks(size).map(Arc::from).collect())
}
