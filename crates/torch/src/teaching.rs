//! Teacher forcing: people's captions as a decoder reads and should write them, and the cross-entropy that teaches it.

use artifacts::vocabulary::PAD;
use tch::{Device, Kind, TchError, Tensor};

use crate::decoder::ragged::Ragged;
use crate::decoder::{Decoder, Forced};
use crate::native;

/// Captions as a decoder reads and should write them. It costs least where the longest of an image stands first.
pub struct Captions {
    /// What the decoder reads, `<bos>` first, padded: `[images, captions, steps]`.
    pub input: Tensor,
    /// What it should write, `<eos>` last, padded: `[images × captions, steps]`.
    pub target: Tensor,
    /// 1 where `target` is no padding: `[images × captions, steps]`.
    pub mask: Tensor,
}

/// What a teacher-forced pass came to.
pub struct Taught {
    /// What to minimise, a scalar: the smoothed cross-entropy of a word in the mean, and what the decoder adds for its attention.
    pub loss: Tensor,
    /// Log-probability of each word that should have been written: `[images × captions, steps]`.
    pub log_probabilities: Tensor,
}

impl Captions {
    /// Pads `captions[image][caption]`, each with `<bos>` first; one that has ended has `<eos>` last. Images with fewer captions
    /// than others are filled up with padding.
    pub fn new<I: AsRef<[u32]>>(captions: &[Vec<I>], device: Device) -> Captions {
        let most = captions.iter().map(Vec::len).max().unwrap_or(0);
        let longest = captions.iter().flatten().map(|ids| ids.as_ref().len() - 1).max().unwrap_or(0);
        let padded = |from: usize| {
            let mut ids = vec![i64::from(PAD); captions.len() * most * longest];
            let mut rows = ids.chunks_mut(longest.max(1));
            for image in captions {
                let mut captions = image.iter().map(AsRef::as_ref);
                for row in rows.by_ref().take(most) {
                    let Some(caption) = captions.next() else { continue };
                    let words = &caption[from..caption.len() - 1 + from];
                    row.iter_mut().zip(words).for_each(|(place, &id)| *place = i64::from(id));
                }
            }
            let shape = [captions.len() as i64, most as i64, longest as i64];
            Tensor::from_slice(&ids).view(shape).to_device(device)
        };
        let target = padded(1).flatten(0, 1);
        Captions { input: padded(0), mask: target.ne(i64::from(PAD)).to_kind(Kind::Float), target }
    }

    /// The loss of what `decoder` wrote after the words of these captions; `smoothing` as [`cross_entropy`] has it.
    ///
    /// # Errors
    ///
    /// Refusals of libtorch.
    pub fn taught(&self, decoder: &dyn Decoder, forced: Forced, smoothing: f64) -> Result<Taught, TchError> {
        let (mut loss, log_probabilities) =
            cross_entropy(&forced.logits, &forced.ragged, &self.target, &self.mask, smoothing)?;
        let attention = forced.attention.map(|attention| decoder.attention_loss(&attention, &self.mask));
        let choices =
            forced.choices.map(|choices| decoder.choice_loss(&choices, &log_probabilities, &self.mask));
        for own in [attention, choices].into_iter().flatten() {
            if let Some(own) = own? {
                loss = loss.f_add(&own)?;
            }
        }
        Ok(Taught { loss, log_probabilities })
    }
}

/// Cross-entropy of the words, smoothed (Szegedy et al. 2016): the target word weighs `1 − smoothing`, and the rest is
/// spread over the whole vocabulary. `logits [places, vocabulary]` of the places of `ragged`, `target` and `mask` `[rows, steps]`.
///
/// Returns the loss to minimise and the log-probability of each word, `[rows, steps]`.
///
/// # Errors
///
/// Tensors of other shapes.
pub fn cross_entropy(
    logits: &Tensor,
    ragged: &Ragged,
    target: &Tensor,
    mask: &Tensor,
    smoothing: f64,
) -> Result<(Tensor, Tensor), TchError> {
    let [of_words, of_all] = log_probabilities(logits, &ragged.select(target)?)?;
    let own_mask = ragged.select(mask)?;
    let plain = mean_word(&of_words, &own_mask)?.f_neg()?;
    let padded = ragged.spread(&of_words.f_unsqueeze(-1)?)?.f_squeeze_dim(-1)?;
    if smoothing == 0.0 {
        return Ok((plain, padded));
    }
    let spread = mean_word(&of_all, &own_mask)?.f_neg()?;
    let loss = plain.f_mul_scalar(1.0 - smoothing)?.f_add(&spread.f_mul_scalar(smoothing)?)?;
    Ok((loss, padded))
}

/// Of `logits [rows, vocabulary]` the log-probability of each word `target [rows]`, and the mean of those of all words: `[rows]` each.
///
/// # Errors
///
/// Tensors of other shapes.
pub fn log_probabilities(logits: &Tensor, target: &Tensor) -> Result<[Tensor; 2], TchError> {
    if native::is_for(logits)? {
        return native::log_probabilities(logits, target);
    }
    let all = logits.f_log_softmax(-1, Kind::Float)?;
    let of_words = all.f_gather(-1, &target.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?;
    Ok([of_words, all.f_mean_dim([-1i64].as_slice(), false, Kind::Float)?])
}

/// The mean of `values` over what is no padding: `mask`, of the same shape, is 1 there.
///
/// # Errors
///
/// Tensors of other shapes.
pub fn mean_word(values: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
    values.f_mul(mask)?.f_sum(Kind::Float)?.f_div(&mask.f_sum(Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use tch::Reduction;

    use super::*;

    #[test]
    fn smoothed_cross_entropy_is_that_of_libtorch() {
        let logits = (Tensor::arange(30, (Kind::Float, Device::Cpu)) * 2.0).sin().view([2, 3, 5]);
        let target = Tensor::from_slice(&[4i64, 2, 0, 3, 0, 0]).view([2, 3]);
        let mask = target.ne(i64::from(PAD)).to_kind(Kind::Float);
        // Two images with a caption each, of which the last places are no words.
        let ragged = Ragged::new(&Tensor::from_slice(&[1i64, 4, 2, 1, 3, 2]).view([2, 1, 3])).unwrap();
        let logits = logits.view([2, 3, 5]);
        let reference = |smoothing| {
            let flat = logits.flatten(0, 1);
            let loss =
                flat.cross_entropy_loss(&target.flatten(0, 1), None::<Tensor>, Reduction::Mean, 0, smoothing);
            loss.double_value(&[])
        };
        for smoothing in [0.0, 0.1, 0.5] {
            let (loss, of_words) =
                cross_entropy(&ragged.select(&logits).unwrap(), &ragged, &target, &mask, smoothing).unwrap();
            assert!((loss.double_value(&[]) - reference(smoothing)).abs() < 1e-5);
            assert!((mean_word(&of_words, &mask).unwrap().double_value(&[]) + reference(0.0)).abs() < 1e-5);
        }
    }
}
