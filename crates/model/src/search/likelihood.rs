//! How probable given captions are.

use artifacts::vocabulary::{BOS, EOS};

use super::step::Stepper;
use super::{SearchError, check_numbers, refused};

/// The log-probability of each caption under each image of `memory`, `<eos>` included: `[images][captions]`.
///
/// What [`beam_search`](super::beam_search) says of its own captions, for any others: ids without special tokens.
///
/// # Errors
///
/// When the decoder's scores are not numbers, or the engine refuses.
pub fn log_likelihoods<S: Stepper>(
    decoder: &mut S,
    memory: &S::Rows,
    captions: &[Vec<u32>],
) -> Result<Vec<Vec<f64>>, SearchError> {
    let mut sums = vec![vec![0.0; captions.len()]; decoder.rows(memory)];
    let places = (0..sums.len()).flat_map(|image| (0..captions.len()).map(move |caption| (image, caption)));
    let mut open: Vec<(usize, usize)> = places.collect();
    if open.is_empty() {
        return Ok(sums);
    }
    let images = |open: &[(usize, usize)]| open.iter().map(|&(image, _)| image).collect::<Vec<_>>();
    let mut state = decoder.start(memory).map_err(refused)?;
    state = decoder.select(&state, &images(&open)).map_err(refused)?;
    for position in 0.. {
        let read = |&(_, caption): &(usize, usize)| match position {
            0 => BOS,
            after => captions[caption][after - 1],
        };
        let words: Vec<u32> = open.iter().map(read).collect();
        let of_rows = decoder.select(memory, &images(&open)).map_err(refused)?;
        let step = decoder.step(&of_rows, &state, &words).map_err(refused)?;
        check_numbers(&step.log_probabilities)?;
        for (&(image, caption), row) in open.iter().zip(step.log_probabilities.rows()) {
            let next = captions[caption].get(position).copied().unwrap_or(EOS);
            sums[image][caption] += row.get(next as usize).copied().map_or(f64::NEG_INFINITY, f64::from);
        }
        let goes_on = |&row: &usize| position < captions[open[row].1].len();
        let kept: Vec<usize> = (0..open.len()).filter(goes_on).collect();
        if kept.is_empty() {
            break;
        }
        state = decoder.select(&step.state, &kept).map_err(refused)?;
        open = kept.into_iter().map(|row| open[row]).collect();
    }
    Ok(sums)
}
