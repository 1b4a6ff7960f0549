//! How probable given captions are.

use artifacts::vocabulary::{BOS, EOS, PAD};
use tch::{Kind, TchError, Tensor};

use super::{SearchError, log_probabilities};
use crate::decoder::{Decoder, Rows};

/// The log-probability of each caption under each image, `<eos>` included: `[images][captions]`.
///
/// What [`beam_search`](super::beam_search) says of its own captions, for any others: ids without special tokens.
///
/// # Errors
///
/// When the decoder's scores are not numbers, or libtorch refuses.
pub fn log_likelihoods(
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
    let tensor = |ids: &[i64]| -> Result<Tensor, TchError> {
        Tensor::f_from_slice(ids)?.f_view(shape)?.f_repeat([images, 1, 1])?.f_to_device(device)
    };
    let (words, next) = (tensor(&words)?, tensor(&next)?.f_view([-1])?);
    let forced = tch::no_grad(|| decoder.forward(memory, &words, false))?;
    let scores = log_probabilities(&forced.logits.f_flatten(0, 1)?)?;
    let of_words = scores.f_gather(-1, &next.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?;
    let of_words = of_words.f_mul(&next.f_ne(i64::from(PAD))?)?.f_view([-1, steps as i64])?;
    let sums = of_words.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double)?;
    let sums: Vec<f64> = Vec::try_from(sums)?;
    Ok(sums.chunks(captions.len()).map(<[f64]>::to_vec).collect())
}
