//! Captions by chance: ancestral sampling with temperature and nucleus, batched over images and samples.

use artifacts::vocabulary::{BOS, EOS, SPECIAL, UNK};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::beam::Hypothesis;
use super::step::Stepper;
use super::{SampleSettings, SearchError, check, check_numbers, refused};

/// `count` independent captions of each image of `memory`, in the order in which they are drawn; equal ones may be among them.
/// `seed` decides every draw, and the images beside it none: each has the same captions alone. Log-probabilities are the
/// decoder's own, before temperature, nucleus and the ban of special tokens.
///
/// # Errors
///
/// When a setting makes no sense, the decoder's scores are not numbers, or the engine refuses.
pub fn sample<S: Stepper>(
    decoder: &mut S,
    memory: &S::Rows,
    settings: &SampleSettings,
    (count, seed): (usize, u64),
) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
    check(settings.problem())?;
    let images = decoder.rows(memory);
    if count == 0 || images == 0 {
        return Ok(vec![vec![]; images]);
    }
    let mut drawn = vec![Hypothesis::empty(); images * count];
    let mut randoms: Vec<ChaCha8Rng> = (0..drawn.len()).map(|sample| stream(seed, sample % count)).collect();
    // Those that have not ended, each with its image's row.
    let mut open: Vec<usize> = (0..drawn.len()).collect();
    let mut row_images: Vec<usize> = open.iter().map(|sample| sample / count).collect();
    let start = decoder.start(memory).map_err(refused)?;
    let mut state = decoder.select(&start, &row_images).map_err(refused)?;
    let mut row_memory = decoder.select(memory, &row_images).map_err(refused)?;
    for length in 0..settings.max_length {
        let words: Vec<u32> = open.iter().map(|&sample| *drawn[sample].ids.last().unwrap_or(&BOS)).collect();
        let step = decoder.step(&row_memory, &state, &words).map_err(refused)?;
        check_numbers(&step.log_probabilities)?;
        let mut rows = Vec::new();
        for ((row, &sample), scores) in open.iter().enumerate().zip(step.log_probabilities.rows()) {
            let word = choose(scores, settings, length > 0, randoms[sample].random())?;
            let hypothesis = &mut drawn[sample];
            let log_probability = f64::from(scores[word as usize]);
            hypothesis.log_probability += log_probability;
            hypothesis.log_probabilities.push(log_probability);
            if word == EOS {
                hypothesis.finished = true;
                continue;
            }
            hypothesis.ids.push(word);
            let look = step.attention.as_ref().and_then(|attention| attention.rows().nth(row));
            hypothesis.attention.extend(look.map(Into::into));
            rows.push(row);
        }
        if rows.is_empty() {
            break;
        }
        state = decoder.select(&step.state, &rows).map_err(refused)?;
        if rows.len() < open.len() {
            (open, row_images) = rows.iter().map(|&row| (open[row], row_images[row])).unzip();
            row_memory = decoder.select(memory, &row_images).map_err(refused)?;
        }
    }
    Ok(drawn.chunks(count).map(<[Hypothesis]>::to_vec).collect())
}

/// Chance of its own for each sample.
fn stream(seed: u64, sample: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(sample as u64);
    random
}

/// A word, or `<eos>` where the caption `may_end`, by inverting the cumulative distribution at `uniform` in [0, 1).
fn choose(
    scores: &[f32],
    settings: &SampleSettings,
    may_end: bool,
    uniform: f64,
) -> Result<u32, SearchError> {
    let words = (UNK + 1..scores.len() as u32).chain(may_end.then_some(EOS));
    let mut words: Vec<(u32, f64)> = words.map(|word| (word, f64::from(scores[word as usize]))).collect();
    if scores.len() <= SPECIAL.len() {
        return Err(SearchError::NoWords);
    }
    // Relative to the best one, so that no temperature makes all of them infinite.
    let best = words.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
    for (_, score) in &mut words {
        *score = ((*score - best) / settings.temperature).exp();
    }
    let mut mass: f64 = words.iter().map(|(_, weight)| weight).sum();
    if settings.top_p < 1.0 {
        words.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (wanted, mut kept, mut count) = (settings.top_p * mass, 0.0, 0);
        while kept < wanted && count < words.len() {
            kept += words[count].1;
            count += 1;
        }
        words.truncate(count.max(1));
        mass = kept;
    }
    let mut left = uniform * mass;
    for (word, weight) in &words {
        if left < *weight {
            return Ok(*word);
        }
        left -= weight;
    }
    // Rounding may leave a crumb behind the last one.
    words.last().map(|(word, _)| *word).ok_or(SearchError::NoWords)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How often each of `scores` is drawn of 10,000 times.
    fn shares(scores: &[f32], settings: &SampleSettings) -> Vec<f64> {
        let mut counts = vec![0.0; scores.len()];
        let mut random = stream(1, 0);
        for _ in 0..10_000 {
            counts[choose(scores, settings, true, random.random()).unwrap() as usize] += 1e-4;
        }
        counts
    }

    #[test]
    fn words_are_drawn_by_their_probabilities() {
        let probabilities = [0.1f32, 0.1, 0.2, 0.1, 0.3, 0.2];
        let scores: Vec<f32> = probabilities.iter().map(|p| p.ln()).collect();
        let near = |found: Vec<f64>, wanted: [f64; 6]| {
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 0.02), "{found:?} {wanted:?}");
        };
        // Ids 0, 1 and 3 are never written; the others share what is left.
        let all = SampleSettings::default();
        near(shares(&scores, &all), [0.0, 0.0, 2.0 / 7.0, 0.0, 3.0 / 7.0, 2.0 / 7.0]);
        let cold = SampleSettings { temperature: 0.5, ..all.clone() };
        near(shares(&scores, &cold), [0.0, 0.0, 4.0 / 17.0, 0.0, 9.0 / 17.0, 4.0 / 17.0]);
        let nucleus = SampleSettings { top_p: 0.4, ..all.clone() };
        near(shares(&scores, &nucleus), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        let frozen = SampleSettings { temperature: 1e-300, ..all };
        near(shares(&scores, &frozen), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    }

    proptest! {
        #[test]
        fn no_draw_writes_what_is_never_written(
            scores in prop::collection::vec(-50f32..0.0, 5..40),
            temperature in 1e-3f64..10.0,
            top_p in 0.01f64..=1.0,
            uniform in 0f64..1.0,
        ) {
            let settings = SampleSettings { temperature, top_p, ..Default::default() };
            let word = choose(&scores, &settings, false, uniform).unwrap();
            prop_assert!(word > UNK && (word as usize) < scores.len());
        }
    }

    #[test]
    fn a_vocabulary_without_words_is_an_error() {
        assert!(matches!(
            choose(&[0.0; 4], &SampleSettings::default(), true, 0.5),
            Err(SearchError::NoWords)
        ));
    }
}
