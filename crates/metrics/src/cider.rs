//! CIDEr-D (Vedantam et al. 2015) as pycocoevalcap computes it.
//!
//! Captions are tf-idf vectors over n-grams, one vector per order; the score is a clipped cosine similarity, averaged
//! over orders and references, dampened by a Gaussian of the length difference, times 10. Document frequency counts
//! images, not captions.

use std::collections::HashMap;

use crate::Tokens;
use crate::corpus::{Corpus, Image};
use crate::error::ScoreError;
use crate::ngrams::{Caption, MAX_ORDER, Ngram, WordIds, next_id, order_index};
use crate::tally::{Means, Tallied};

pub(crate) const PROTOCOL: &str = "document frequency from these references, mean over images";

/// Width of the length penalty, in words.
const SIGMA: f64 = 6.0;
/// CIDEr lies in 0..10 by convention.
const SCALE: f64 = 10.0;

/// In how many images of a corpus each n-gram of the references occurs.
///
/// Made once (for example from the references of the training split) and used for any number of [`cider_d`] calls.
#[derive(Debug, Clone)]
pub struct DocumentFrequency {
    pub(crate) words: WordIds,
    images: HashMap<Ngram, u32>,
    log_images: f64,
}

impl DocumentFrequency {
    /// Counts over `references[image][caption]`.
    ///
    /// # Errors
    /// When there is no image, or one has no references.
    pub fn new(references: &[Vec<Tokens>]) -> Result<Self, ScoreError> {
        Self::counted(references.iter().map(Ok))
    }

    /// Counts over the captions of one image after the other, so that nothing but the counts is kept: some 40 bytes for
    /// each distinct n-gram.
    ///
    /// # Errors
    /// Those of `references`; when there is no image, or one has no references.
    pub fn counted<I: AsRef<[Tokens]>, E: From<ScoreError>>(
        references: impl IntoIterator<Item = Result<I, E>>,
    ) -> Result<Self, E> {
        let mut words = WordIds::new();
        let mut images: HashMap<Ngram, u32> = HashMap::new();
        let mut count = 0;
        for captions in references {
            let captions = captions?;
            if captions.as_ref().is_empty() {
                return Err(ScoreError::NoReferences { image: count }.into());
            }
            let mut seen: Vec<Ngram> = Vec::new();
            for tokens in captions.as_ref() {
                let ids = tokens.iter().map(|word| known_id(word, &mut words)).collect();
                seen.extend(Caption::new(ids).ngrams.iter().map(|(ngram, _)| ngram));
            }
            seen.sort_unstable();
            seen.dedup();
            for ngram in seen {
                *images.entry(ngram).or_insert(0) += 1;
            }
            count += 1;
        }
        if count == 0 {
            return Err(ScoreError::NoImages.into());
        }
        Ok(Self { words, images, log_images: (count as f64).ln() })
    }

    /// ln(images / images with `ngram`); an n-gram that was never seen counts as seen once.
    fn inverse(&self, ngram: &Ngram) -> f64 {
        let images = self.images.get(ngram).copied().unwrap_or(1);
        self.log_images - f64::from(images).ln()
    }
}

fn known_id(word: &str, words: &mut WordIds) -> u32 {
    if let Some(&id) = words.get(word) {
        return id;
    }
    let id = next_id(words.len());
    words.insert(word.to_owned(), id);
    id
}

/// CIDEr-D of each image of `hypotheses[image]` against `references[image][caption]`, with the document frequency of
/// another corpus: the reward of self-critical training.
///
/// # Errors
/// When the lists differ in length, are empty, or an image has no references.
pub fn cider_d(
    references: &[Vec<Tokens>],
    hypotheses: &[Tokens],
    frequency: &DocumentFrequency,
) -> Result<Vec<f64>, ScoreError> {
    let corpus = Corpus::new(references, hypotheses, &frequency.words)?;
    Ok(score_images(&corpus, frequency))
}

/// CIDEr-D of each image; the word ids of `corpus` must be those of `frequency`.
pub(crate) fn tally(corpus: &Corpus, frequency: &DocumentFrequency) -> Tallied {
    Tallied::new(Means(score_images(corpus, frequency)))
}

fn score_images(corpus: &Corpus, frequency: &DocumentFrequency) -> Vec<f64> {
    corpus.images.iter().map(|image| score_image(image, frequency)).collect()
}

fn score_image(image: &Image, frequency: &DocumentFrequency) -> f64 {
    let hypothesis = TfIdf::new(&image.hypothesis, frequency);
    let total: f64 = image
        .references
        .iter()
        .map(|reference| hypothesis.similarity(&TfIdf::new(reference, frequency)))
        .sum();
    SCALE * total / image.references.len() as f64
}

/// A caption's tf-idf vectors, all orders in one sorted list.
struct TfIdf {
    weights: Vec<(Ngram, f64)>,
    /// Euclidean norm of each order.
    norms: [f64; MAX_ORDER],
    /// Length as pycocoevalcap measures it: the number of bigrams.
    bigrams: usize,
}

impl TfIdf {
    fn new(caption: &Caption, frequency: &DocumentFrequency) -> Self {
        let weights: Vec<(Ngram, f64)> = caption
            .ngrams
            .iter()
            .map(|(ngram, count)| (*ngram, f64::from(*count) * frequency.inverse(ngram)))
            .collect();
        let mut squares = [0.0; MAX_ORDER];
        for (ngram, weight) in &weights {
            squares[order_index(ngram)] += weight * weight;
        }
        Self { weights, norms: squares.map(f64::sqrt), bigrams: caption.words.len().saturating_sub(1) }
    }

    /// Mean over orders of the clipped cosine similarity, dampened by the length difference.
    fn similarity(&self, reference: &Self) -> f64 {
        let mut products = [0.0; MAX_ORDER];
        for (ngram, weight) in &self.weights {
            if let Ok(at) = reference.weights.binary_search_by_key(ngram, |&(key, _)| key) {
                let other = reference.weights[at].1;
                products[order_index(ngram)] += weight.min(other) * other;
            }
        }
        let cosines: f64 = (0..MAX_ORDER)
            .map(|order| {
                let norm = self.norms[order] * reference.norms[order];
                if norm > 0.0 { products[order] / norm } else { 0.0 }
            })
            .sum();
        let difference = self.bigrams as f64 - reference.bigrams as f64;
        let penalty = (-difference * difference / (2.0 * SIGMA * SIGMA)).exp();
        cosines / MAX_ORDER as f64 * penalty
    }
}
