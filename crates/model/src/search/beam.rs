//! Beam search and diverse beam search, batched over images.
//!
//! Diverse beam search is that of Vijayakumar et al. 2016 (<https://arxiv.org/abs/1610.02424>) with Hamming diversity:
//! at every step the groups of an image choose one after another, each avoiding the words of those before it.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use artifacts::vocabulary::{BOS, EOS};

use super::candidates::Candidates;
use super::step::Stepper;
use super::{SearchError, SearchSettings, check, consensus, refused};

/// One caption that the search found.
#[derive(Clone, Debug)]
pub struct Hypothesis {
    /// Words, without special tokens.
    pub ids: Vec<u32>,
    /// Sum of the log-probabilities of its words and its `<eos>`.
    pub log_probability: f64,
    /// The addends of that sum: one per word, and one for the `<eos>` of a finished caption.
    pub log_probabilities: Vec<f64>,
    /// Whether it ended with `<eos>`.
    pub finished: bool,
    /// Share of attention on each region, one entry per word, for decoders that attend.
    pub attention: Vec<Arc<[f32]>>,
}

impl Hypothesis {
    /// Before the first word.
    pub(super) fn empty() -> Hypothesis {
        Hypothesis {
            ids: vec![],
            log_probability: 0.0,
            log_probabilities: vec![],
            finished: false,
            attention: vec![],
        }
    }

    /// What beams are ranked by.
    fn score(&self, length_penalty: f64) -> f64 {
        let tokens = self.ids.len() + usize::from(self.finished);
        self.log_probability / (tokens.max(1) as f64).powf(length_penalty)
    }
}

/// The best captions of each image of `memory`, best first and all different, at least one and at most `beam_size`
/// each. Finished captions come before cut ones.
///
/// # Errors
///
/// When a setting makes no sense, the decoder's scores are not numbers, or the engine refuses.
pub fn beam_search<S: Stepper>(
    decoder: &mut S,
    memory: &S::Rows,
    settings: &SearchSettings,
) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
    check(settings.problem())?;
    let mut images: Vec<Vec<Beam>> =
        (0..decoder.rows(memory)).map(|_| (0..settings.groups).map(|_| Beam::new()).collect()).collect();
    // Every group of an image starts from the image's state.
    let mut row_images: Vec<usize> =
        (0..images.len()).flat_map(|image| vec![image; settings.groups]).collect();
    let start = decoder.start(memory).map_err(refused)?;
    let mut state = decoder.select(&start, &row_images).map_err(refused)?;
    let mut row_memory = decoder.select(memory, &row_images).map_err(refused)?;
    for length in 0..settings.max_length {
        let live: Vec<&Hypothesis> = images.iter().flatten().flat_map(|beam| &beam.live).collect();
        if live.is_empty() {
            break;
        }
        let words: Vec<u32> = live.iter().map(|hypothesis| *hypothesis.ids.last().unwrap_or(&BOS)).collect();
        let banned: Vec<Vec<u32>> =
            live.iter().map(|live| repeats(&live.ids, settings.no_repeat_ngram).collect()).collect();
        let step = decoder.step(&row_memory, &state, &words).map_err(refused)?;
        // One more than the beam, because one may be `<eos>`. That is enough for a group as well: at most the words of
        // the other groups are pushed back.
        let may_end = length >= settings.min_length;
        let candidates = Candidates::new(&step.log_probabilities, settings.beam_size + 1, may_end, &banned)?;
        let attention: Option<Vec<Arc<[f32]>>> =
            step.attention.as_ref().map(|attention| attention.rows().map(Arc::from).collect());
        let (mut parents, mut images_of_parents) = (vec![], vec![]);
        let mut first_row = 0;
        for (image, groups) in images.iter_mut().enumerate() {
            let mut chosen = vec![];
            for beam in groups {
                let rows = first_row..first_row + beam.live.len();
                first_row = rows.end;
                let kept = beam.advance(rows, &candidates, attention.as_deref(), &chosen, settings);
                chosen.extend(beam.live.iter().filter_map(|hypothesis| hypothesis.ids.last().copied()));
                images_of_parents.extend(kept.iter().map(|_| image));
                parents.extend(kept);
            }
        }
        state = decoder.select(&step.state, &parents).map_err(refused)?;
        if images_of_parents != row_images {
            row_memory = decoder.select(memory, &images_of_parents).map_err(refused)?;
            row_images = images_of_parents;
        }
    }
    Ok(images.into_iter().map(|groups| best(groups, settings)).collect())
}

/// The words that would write some n-gram of `ids` again.
fn repeats(ids: &[u32], n: usize) -> impl Iterator<Item = u32> {
    let windows = (n > 0).then(|| ids.windows(n)).into_iter().flatten();
    windows.filter(move |window| ids.ends_with(&window[..n - 1])).map(move |window| window[n - 1])
}

/// The captions of all groups of an image, best first.
fn best(groups: Vec<Beam>, settings: &SearchSettings) -> Vec<Hypothesis> {
    let mut best: Vec<Hypothesis> = groups.into_iter().flat_map(Beam::captions).collect();
    best.sort_by(|a, b| {
        let by_score = || b.score(settings.length_penalty).total_cmp(&a.score(settings.length_penalty));
        b.finished.cmp(&a.finished).then_with(by_score)
    });
    let mut seen = HashSet::new();
    best.retain(|caption| seen.insert(caption.ids.clone()));
    best.truncate(settings.beam_size);
    if settings.consensus > 0.0 {
        let cut = best.split_off(best.partition_point(|caption| caption.finished));
        best = consensus::by_agreement(best, settings.consensus);
        best.extend(cut);
    }
    best
}

/// The hypotheses of one group of an image.
struct Beam {
    live: Vec<Hypothesis>,
    finished: Vec<Hypothesis>,
    /// Hypotheses that no allowed word continues.
    stuck: Vec<Hypothesis>,
}

impl Beam {
    fn new() -> Beam {
        Beam { live: vec![Hypothesis::empty()], finished: vec![], stuck: vec![] }
    }

    /// Extends every live hypothesis by its best words; returns the row that each new live hypothesis came from.
    /// `avoided` are the words that earlier groups chose at this step.
    fn advance(
        &mut self,
        rows: Range<usize>,
        candidates: &Candidates,
        attention: Option<&[Arc<[f32]>]>,
        avoided: &[u32],
        settings: &SearchSettings,
    ) -> Vec<usize> {
        let mut extended = Vec::new();
        for (hypothesis, row) in self.live.iter().zip(rows) {
            let before = extended.len();
            for (word, addend) in candidates.of_row(row) {
                let log_probability = hypothesis.log_probability + addend;
                let times = avoided.iter().filter(|&&avoided| avoided == word).count();
                let rank = log_probability - settings.diversity * times as f64;
                extended.push((rank, log_probability, addend, row, hypothesis, word));
            }
            if extended.len() == before && !hypothesis.ids.is_empty() {
                self.stuck.push(hypothesis.clone());
            }
        }
        extended.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut live, mut parents) = (Vec::new(), Vec::new());
        for (_, log_probability, addend, row, parent, word) in extended {
            if live.len() == settings.group_size() {
                break;
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
        self.live = live;
        if !self.is_hopeful(settings) {
            self.live.clear();
            parents.clear();
        }
        parents
    }

    /// Whether a live hypothesis could still rank among the best; forgets finished ones that do not.
    fn is_hopeful(&mut self, settings: &SearchSettings) -> bool {
        let score = |hypothesis: &Hypothesis| hypothesis.score(settings.length_penalty);
        self.finished.sort_by(|a, b| score(b).total_cmp(&score(a)));
        self.finished.truncate(settings.group_size());
        let worst = self.finished.get(settings.group_size() - 1).map(score);
        let longest = (settings.max_length as f64 + 1.0).powf(settings.length_penalty);
        let hopeful = |live: &Hypothesis| worst.is_none_or(|worst| live.log_probability / longest > worst);
        self.live.iter().any(hopeful)
    }

    /// Finished captions; unfinished ones only where nothing finished.
    fn captions(self) -> Vec<Hypothesis> {
        if self.finished.is_empty() { [self.live, self.stuck].concat() } else { self.finished }
    }
}
