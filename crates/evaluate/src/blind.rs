//! The score of a model that sees nothing: the one train caption that fits the train images best.

use std::collections::BTreeSet;

use anyhow::Context;
use metrics::{Metric, Scorer};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::captioned::Captioned;
use crate::references::References;

const CANDIDATES: usize = 400;
const IMAGES: usize = 300;

/// The caption with the best corpus BLEU-4 when it is given to train images (a seeded sample of captions and images).
pub(crate) fn best_caption(train: &References, seed: u64) -> anyhow::Result<String> {
    let train = &train.0;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let captions: BTreeSet<Vec<String>> = train.iter().flat_map(|image| image.tokens.clone()).collect();
    let captions: Vec<Vec<String>> = captions.into_iter().collect();
    let images: Vec<Vec<Vec<String>>> =
        train.sample(&mut random, IMAGES).map(|image| image.tokens.clone()).collect();
    let scorer = Scorer { metrics: &[Metric::Bleu4], ..Scorer::default() };
    let mut best: Option<(f64, &Vec<String>)> = None;
    for candidate in captions.sample(&mut random, CANDIDATES) {
        let everywhere = vec![candidate.clone(); images.len()];
        let score = scorer.score(&images, &everywhere)?.corpus[Metric::Bleu4];
        if best.is_none_or(|(best, _)| score > best) {
            best = Some((score, candidate));
        }
    }
    let (_, caption) = best.context("the train split has no captions")?;
    Ok(caption.join(" "))
}

/// The same caption for every image.
pub(crate) fn constant(references: &References, caption: &str) -> Vec<Captioned> {
    references.0.iter().map(|reference| Captioned::given(&reference.image_id, caption)).collect()
}
