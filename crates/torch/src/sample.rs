//! Random captions: ancestral sampling with temperature and nucleus, batched over images and samples.

use artifacts::vocabulary::{BOS, EOS, SPECIAL, UNK};
use model::search::{SampleSettings, SearchError, check};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, TchError, Tensor};

use crate::decoder::{Decoder, Rows};

/// A caption drawn from the decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Words, without special tokens.
    pub ids: Vec<u32>,
    /// Sum of the log-probabilities of its words and its `<eos>` as the decoder gives them: before temperature,
    /// nucleus and the ban of special tokens.
    pub log_probability: f64,
    /// Whether it ended with `<eos>`.
    pub finished: bool,
}

/// `count` independent captions of each image of `memory`; `seed` decides every draw.
///
/// # Errors
///
/// When a setting makes no sense, the decoder's scores are not numbers, or libtorch refuses.
pub fn sample(
    decoder: &dyn Decoder,
    memory: &Rows,
    settings: &SampleSettings,
    count: usize,
    seed: u64,
) -> Result<Vec<Vec<Sample>>, SearchError> {
    check(settings.problem())?;
    let images = memory.0[0].size()[0] as usize;
    if count == 0 || images == 0 {
        return Ok(vec![vec![]; images]);
    }
    let samples = tch::no_grad(|| draw(decoder, memory, settings, images * count, seed));
    let samples = samples.map_err(|refusal| match refusal {
        Refusal::Search(error) => error,
        Refusal::Torch(error) => SearchError::Engine(Box::new(error)),
    })?;
    Ok(samples.chunks(count).map(<[Sample]>::to_vec).collect())
}

enum Refusal {
    Search(SearchError),
    Torch(TchError),
}

impl From<TchError> for Refusal {
    fn from(error: TchError) -> Self {
        Refusal::Torch(error)
    }
}

/// Log-probabilities of `logits [rows, vocabulary]`.
fn log_probabilities(logits: &Tensor) -> Result<Tensor, Refusal> {
    if logits.size2()?.1 as usize <= SPECIAL.len() {
        return Err(Refusal::Search(SearchError::NoWords));
    }
    let log_probabilities = logits.f_log_softmax(-1, Kind::Float)?;
    if log_probabilities.f_isnan()?.f_any()?.f_int64_value(&[])? != 0 {
        return Err(Refusal::Search(SearchError::NotANumber));
    }
    Ok(log_probabilities)
}

/// Draws `total` samples; those of an image follow one another.
fn draw(
    decoder: &dyn Decoder,
    memory: &Rows,
    settings: &SampleSettings,
    total: usize,
    seed: u64,
) -> Result<Vec<Sample>, Refusal> {
    let device = memory.0[0].device();
    let to_device = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
    let mut samples = vec![Sample { ids: vec![], log_probability: 0.0, finished: false }; total];
    // A generator a sample: which rows are still computed must not decide the draws.
    let mut randoms: Vec<_> = (0..total as u64)
        .map(|stream| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(stream);
            random
        })
        .collect();
    let images: Vec<i64> = (0..total).map(|row| row as i64 * memory.0[0].size()[0] / total as i64).collect();
    let images = to_device(&images)?;
    let mut row_memory = memory.select(&images)?;
    let mut state = decoder.start(memory)?.select(&images)?;
    let mut rows: Vec<usize> = (0..total).collect();
    let mut words = vec![i64::from(BOS); total];
    for position in 0..settings.max_length {
        let step = decoder.step(&row_memory, &state, &to_device(&words)?)?;
        let log_probabilities = log_probabilities(&step.logits)?;
        let uniforms: Vec<f64> = rows.iter().map(|&row| randoms[row].random()).collect();
        let chosen = choose(&log_probabilities, &Tensor::f_from_slice(&uniforms)?, settings, position > 0)?;
        let scores = log_probabilities.f_gather(1, &chosen.f_unsqueeze(1)?, false)?;
        let scores: Vec<f64> = Vec::try_from(scores.f_squeeze_dim(1)?.f_to_kind(Kind::Double)?)?;
        words = Vec::try_from(chosen)?;
        state = step.state;
        for ((&row, &word), score) in rows.iter().zip(&words).zip(scores) {
            let sample = &mut samples[row];
            if sample.finished {
                continue;
            }
            sample.log_probability += score;
            sample.finished = word == i64::from(EOS);
            if !sample.finished {
                sample.ids.push(word as u32);
            }
        }
        let open: Vec<usize> = (0..rows.len()).filter(|&row| !samples[rows[row]].finished).collect();
        if open.is_empty() {
            break;
        }
        // Copying the other rows' memory costs about a step of theirs, so a few finished rows are carried along.
        if 4 * open.len() <= 3 * rows.len() {
            let kept = to_device(&open.iter().map(|&row| row as i64).collect::<Vec<_>>())?;
            (row_memory, state) = (row_memory.select(&kept)?, state.select(&kept)?);
            words = open.iter().map(|&row| words[row]).collect();
            rows = open.iter().map(|&row| rows[row]).collect();
        }
    }
    Ok(samples)
}

/// One word per row of `log_probabilities [rows, vocabulary]`, by inverting the cumulative distribution at
/// `uniforms [rows]` in [0, 1): words only, and `<eos>` where it `may_end`.
fn choose(
    log_probabilities: &Tensor,
    uniforms: &Tensor,
    settings: &SampleSettings,
    may_end: bool,
) -> Result<Tensor, TchError> {
    let ((rows, vocabulary), device) = (log_probabilities.size2()?, log_probabilities.device());
    let end = may_end.then_some(i64::from(EOS));
    let allowed: Vec<i64> = end.into_iter().chain(i64::from(UNK) + 1..vocabulary).collect();
    let last = allowed.len() as i64 - 1;
    let allowed = Tensor::f_from_slice(&allowed)?.f_to_device(device)?;
    let scores = log_probabilities.f_index_select(1, &allowed)?.f_to_kind(Kind::Double)?;
    // Relative to the best one, so that no temperature makes all of them infinite.
    let best = scores.f_amax([-1i64].as_slice(), true)?;
    let scores = scores.f_sub(&best)?.f_div_scalar(settings.temperature)?;
    let probabilities = scores.f_softmax(-1, Kind::Double)?;
    // Without a nucleus the order of the words does not matter, and sorting is the dearest step.
    let (cumulative, words, mass) = if settings.top_p < 1.0 {
        let (sorted, ranks) = probabilities.f_sort(-1, true)?;
        let cumulative = sorted.f_cumsum(-1, Kind::Double)?;
        let within = cumulative.f_lt(settings.top_p)?;
        let end = within.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Int64)?;
        let mass = cumulative.f_gather(1, &end.f_clamp_max(last)?, false)?;
        (cumulative, allowed.f_take(&ranks)?, mass)
    } else {
        let cumulative = probabilities.f_cumsum(-1, Kind::Double)?;
        let mass = cumulative.f_narrow(1, last, 1)?;
        (cumulative, allowed.f_expand([rows, -1], false)?, mass)
    };
    let target = mass.f_mul(&uniforms.f_to_device(device)?.f_unsqueeze(1)?)?;
    let below = cumulative.f_le_tensor(&target)?;
    let chosen = below.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Int64)?;
    words.f_gather(1, &chosen.f_clamp_max(last)?, false)?.f_squeeze_dim(1)
}

#[cfg(test)]
mod tests;
