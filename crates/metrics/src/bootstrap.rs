//! How far a score can be trusted: the paired bootstrap over images (Efron and Tibshirani 1993; for corpus scores of
//! text, Koehn 2004).
//!
//! Images are drawn with replacement, as many as there are, and the corpus is scored anew: corpus BLEU from the sum of
//! its counts, not as a mean of sentence scores. Two systems are always scored on the same draw.
//!
//! A system may have several runs (seeds); its score is then the mean over them. The intervals speak of the choice of
//! images alone, not of the choice of seeds.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::corpus::ScoreError;
use crate::evaluation::{Evaluation, Scores};

/// How images are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Draws; 1,000 give two good digits of an interval.
    pub resamples: usize,
    /// Decides the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Bootstrap { resamples: 1000, seed: 1 }
    }
}

/// What a system gains over another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Its score less the other's.
    pub difference: Scores,
    /// 95 % interval of the difference.
    pub interval: Scores<[f64; 2]>,
    /// Two-sided p-value of "there is no difference", never below 2 / (resamples + 1).
    pub p_value: Scores,
}

impl Bootstrap {
    /// The draws: positions of images, below `images`.
    pub fn samples(&self, images: usize) -> impl Iterator<Item = Vec<usize>> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        (0..self.resamples).map(move |_| (0..images).map(|_| random.random_range(0..images)).collect())
    }

    /// The 95 % interval of each score of a system, given as its runs.
    ///
    /// # Errors
    /// When there is no run or no image, or the runs differ in their number of images.
    pub fn intervals(&self, runs: &[Evaluation]) -> Result<Scores<[f64; 2]>, ScoreError> {
        let images = common_images(runs)?;
        let scores: Vec<Scores> = self.samples(images).map(|sample| mean_over_runs(runs, &sample)).collect();
        Ok(Scores::from_fn(|metric| interval(scores.iter().map(|scores| scores.values()[metric]))))
    }

    /// What system `a` gains over system `b`, each given as its runs on the same images in the same order.
    ///
    /// # Errors
    /// When a system has no run or no image, or the runs differ in their number of images.
    pub fn compare(&self, a: &[Evaluation], b: &[Evaluation]) -> Result<Comparison, ScoreError> {
        let images = common_images(a)?;
        if common_images(b)? != images {
            return Err(ScoreError::DifferentImages { one: images, other: common_images(b)? });
        }
        let difference = |sample: &[usize]| {
            let (a, b) = (mean_over_runs(a, sample).values(), mean_over_runs(b, sample).values());
            Scores::from_fn(|metric| a[metric] - b[metric])
        };
        let drawn: Vec<Scores> = self.samples(images).map(|sample| difference(&sample)).collect();
        let of = |metric: usize| drawn.iter().map(move |scores| scores.values()[metric]);
        Ok(Comparison {
            difference: difference(&Vec::from_iter(0..images)),
            interval: Scores::from_fn(|metric| interval(of(metric))),
            p_value: Scores::from_fn(|metric| p_value(of(metric))),
        })
    }
}

/// The middle 95 % of resampled values.
pub fn interval(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 40;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    [at(cut), at(sorted.len().saturating_sub(cut + 1))]
}

/// Two-sided p-value from resampled differences: twice the share of draws on the rarer side of 0, draws without a
/// difference on both; one is added to each count, so that a finite number of draws never claims certainty
/// (Davison and Hinkley 1997).
pub fn p_value(differences: impl Iterator<Item = f64>) -> f64 {
    let (mut below, mut above, mut all) = (1, 1, 1);
    for difference in differences {
        below += i32::from(difference <= 0.0);
        above += i32::from(difference >= 0.0);
        all += 1;
    }
    (2.0 * f64::from(below.min(above)) / f64::from(all)).min(1.0)
}

fn common_images(runs: &[Evaluation]) -> Result<usize, ScoreError> {
    let images = runs.first().map_or(0, |run| run.images.len());
    if images == 0 {
        return Err(ScoreError::NoImages);
    }
    match runs.iter().find(|run| run.images.len() != images) {
        Some(other) => Err(ScoreError::DifferentImages { one: images, other: other.images.len() }),
        None => Ok(images),
    }
}

fn mean_over_runs(runs: &[Evaluation], sample: &[usize]) -> Scores {
    let scores: Vec<[f64; 6]> = runs.iter().map(|run| run.of_sample(sample).values()).collect();
    Scores::from_fn(|metric| scores.iter().map(|run| run[metric]).sum::<f64>() / runs.len() as f64)
}
