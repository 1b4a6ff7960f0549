//! The objective `words`: which of the captions' words an image has.

use std::collections::{BTreeMap, HashMap};

use model::tuned::{BIAS, WEIGHT};
use tch::{Device, Kind, Reduction, TchError, Tensor};
use torch::draws::Draws;
use torch::weights::tensor;
use torch::words::word_scores;

use crate::examples::Examples;
use crate::objective::Objective;
use crate::start::Weights;

/// A word that no train caption holds, or every one, would have an infinite score.
const RAREST: f64 = 1e-6;

/// Cross-entropy of each word with the share of the image's captions that hold it, by a head that is linear in the mean of
/// the grid.
pub(crate) struct Words<'a> {
    examples: &'a Examples,
    /// `[words, channels]`
    weight: Tensor,
    /// `[words]`
    bias: Tensor,
}

impl<'a> Words<'a> {
    /// A head for `words`: rows of an earlier head where the word was known, else as common as the word is.
    pub(crate) fn new(
        examples: &'a Examples,
        words: &[String],
        start: &Weights,
        channels: u32,
        device: Device,
    ) -> anyhow::Result<Words<'a>> {
        let channels = i64::from(channels);
        let weight = Tensor::f_zeros([words.len() as i64, channels], (Kind::Float, device))?;
        let odds = |share: f64| (share / (1.0 - share)).ln() as f32;
        let shares = examples.mean_shares(words.len()).into_iter();
        let bias: Vec<f32> = shares.map(|share| odds(share.clamp(RAREST, 1.0 - RAREST))).collect();
        let bias = Tensor::f_from_slice(&bias)?.f_to_device(device)?;
        if let Some(header) = &start.header {
            let known: HashMap<&str, i64> = header.words.iter().map(String::as_str).zip(0..).collect();
            let earlier = header.words.len() as i64;
            let from = [
                tensor(start.tensors.get(WEIGHT, &[earlier, channels])?)?.f_to_kind(Kind::Float)?,
                tensor(start.tensors.get(BIAS, &[earlier])?)?.f_to_kind(Kind::Float)?,
            ];
            for (row, word) in (0..).zip(words) {
                let Some(&source) = known.get(word.as_str()) else { continue };
                weight.f_get(row)?.f_copy_(&from[0].f_get(source)?)?;
                bias.f_get(row)?.f_copy_(&from[1].f_get(source)?)?;
            }
        }
        let [weight, bias] = [weight, bias].map(|tensor| tensor.set_requires_grad(true));
        Ok(Words { examples, weight, bias })
    }

    /// Scores of the words, `[images, words]`.
    pub(crate) fn scores(&self, grid: &Tensor) -> Result<Tensor, TchError> {
        word_scores(grid, &self.weight, &self.bias)
    }

    /// The head as it is now.
    pub(crate) fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.parameters().into_iter().collect()
    }

    /// The same for another thread.
    pub(crate) fn share(&self) -> Words<'a> {
        Words {
            examples: self.examples,
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
        }
    }
}

impl Objective for Words<'_> {
    /// Nothing is drawn.
    fn loss(&self, grid: &Tensor, images: &[usize], _draws: &Draws) -> Result<Tensor, TchError> {
        let scores = self.scores(grid)?;
        let shares = self.examples.shares(images, self.weight.size()[0] as usize, grid.device())?;
        scores.f_binary_cross_entropy_with_logits::<Tensor>(&shares, None, None, Reduction::Sum)
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        let named = [(WEIGHT, &self.weight), (BIAS, &self.bias)];
        named.into_iter().map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect()
    }
}
