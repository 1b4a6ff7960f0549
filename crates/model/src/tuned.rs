//! Weights of a backbone that `tune` has taught a dataset's words, with the head that predicts them.
//!
//! The tensors have the published names, so the file builds the same network; beside them lie [`WEIGHT`] and [`BIAS`]. What the
//! head's numbers mean stands in the file's header.

use artifacts::tensor_file::TUNED_KEY;
use half::f16;
use serde::{Deserialize, Serialize};

use crate::header;
use crate::weights::{NamedArrays, WeightsError};

/// Of the head: `[words, channels]`.
pub const WEIGHT: &str = "words.weight";
/// Of the head: `[words]`.
pub const BIAS: &str = "words.bias";
const FORMAT: u32 = 1;

/// What a file of tuned weights says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedHeader {
    /// Name of the backbone in the registry.
    pub backbone: String,
    /// What the rows of the head predict.
    pub words: Vec<String>,
    /// Which of `words` name what can be seen: "dog", not "with".
    pub content: Vec<usize>,
    /// Makes probabilities of scores.
    pub calibration: Calibration,
    /// How well the head knows the val images.
    pub scores: WordScores,
    /// Stage, settings and inputs of the tuning.
    pub provenance: serde_json::Value,
}

/// `p = 1 / (1 + e^−(scale · s + shift))` of a score s (Platt 1999): fitted on val, so that of the words that get probability p
/// a share p is right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Factor of the score.
    pub scale: f64,
    /// What is added to it.
    pub shift: f64,
}

impl Calibration {
    /// The score as it is.
    pub const NONE: Calibration = Calibration { scale: 1.0, shift: 0.0 };

    /// The probability that a caption of the image holds the word.
    pub fn probability(&self, score: f64) -> f64 {
        1.0 / (1.0 + (-(self.scale * score + self.shift)).exp())
    }
}

/// How well words are predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WordScores {
    /// Mean over `words` words of the average precision with which images are ranked by each.
    pub mean_average_precision: f64,
    /// Mean distance between the probability of the five likeliest content words of an image and the share of its captions
    /// that hold them, in ten bins of probability, weighted by their numbers.
    pub calibration_error: f64,
    /// Content words that enough images have.
    pub words: usize,
    /// Images that were looked at.
    pub images: usize,
}

/// A word that a photo probably shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Keyword {
    /// The word.
    pub word: String,
    /// The share of people's captions of the photo that would hold it.
    pub probability: f64,
}

/// The head with its words.
#[derive(Debug)]
pub struct WordHead {
    /// What its numbers mean.
    pub header: TunedHeader,
    /// `[words, channels]`
    weight: Vec<f32>,
    /// `[words]`
    bias: Vec<f32>,
}

impl TunedHeader {
    /// That of a file, `None` where the weights were not tuned.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn of(file: &NamedArrays) -> Result<Option<TunedHeader>, String> {
        if !file.metadata().contains_key(TUNED_KEY) {
            return Ok(None);
        }
        header::parse(file, TUNED_KEY, FORMAT).and_then(Self::checked).map(Some)
    }

    /// That of an entry that stands elsewhere.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn parse(entry: serde_json::Value) -> Result<TunedHeader, String> {
        header::parse_value(entry, FORMAT).and_then(Self::checked)
    }

    fn checked(self) -> Result<TunedHeader, String> {
        let words = self.words.len();
        match self.content.iter().find(|&&word| word >= words) {
            Some(word) => Err(format!("its content word {word} is not one of its {words} words")),
            None => Ok(self),
        }
    }

    /// The header entry.
    ///
    /// # Errors
    ///
    /// Numbers that JSON does not have.
    pub fn entry(&self) -> serde_json::Result<(String, String)> {
        Ok((TUNED_KEY.to_owned(), header::text(FORMAT, self)?))
    }
}

impl WordHead {
    /// The head among the tensors of a backbone with so many channels.
    ///
    /// # Errors
    ///
    /// When a tensor is absent or of another shape.
    pub fn new(header: TunedHeader, tensors: &NamedArrays, channels: i64) -> Result<WordHead, WeightsError> {
        let words = header.words.len() as i64;
        let weight = tensors.get(WEIGHT, &[words, channels])?.to_f32();
        Ok(WordHead { weight, bias: tensors.get(BIAS, &[words])?.to_f32(), header })
    }

    /// The likeliest content words of an image, at most `count`, by falling probability.
    ///
    /// The head is linear in the mean of the grid: `regions` holds the features of each region, `[channels]`, in half precision.
    pub fn keywords<'a>(
        &self,
        regions: impl ExactSizeIterator<Item = &'a [f16]>,
        count: usize,
    ) -> Vec<Keyword> {
        let number = regions.len().max(1) as f32;
        let mut mean = vec![0.0f32; self.weight.len() / self.bias.len().max(1)];
        for region in regions {
            mean.iter_mut().zip(region).for_each(|(sum, value)| *sum += value.to_f32());
        }
        mean.iter_mut().for_each(|sum| *sum /= number);
        let score = |(weights, bias): (&[f32], &f32)| {
            weights.iter().zip(&mean).map(|(weight, value)| weight * value).sum::<f32>() + bias
        };
        let scores: Vec<f32> = self.weight.chunks(mean.len().max(1)).zip(&self.bias).map(score).collect();
        self.likeliest(&scores, count)
    }

    fn likeliest(&self, scores: &[f32], count: usize) -> Vec<Keyword> {
        let TunedHeader { words, content, calibration, .. } = &self.header;
        likeliest(scores, content, count)
            .into_iter()
            .map(|word| Keyword {
                word: words[word].clone(),
                probability: calibration.probability(f64::from(scores[word])),
            })
            .collect()
    }
}

/// The words among `of` with the highest scores, at most `count`; equal ones in their order.
pub fn likeliest(scores: &[f32], of: &[usize], count: usize) -> Vec<usize> {
    let mut ranked = of.to_vec();
    ranked.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    ranked.truncate(count);
    ranked
}
