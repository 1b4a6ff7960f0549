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

use crate::error::ScoreError;
use crate::evaluation::Evaluation;
use crate::metric::Metric;
use crate::scores::Scores;

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

/// What a system gains over another, by every metric that both have.
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

    /// The 95 % interval of each score of a system, given as its runs; of metrics that all runs have.
    ///
    /// # Errors
    /// When there is no run or no image, or the runs differ in their number of images.
    pub fn intervals(&self, runs: &[Evaluation]) -> Result<Scores<[f64; 2]>, ScoreError> {
        let images = common_images(runs)?;
        let scores: Vec<Scores> = self.samples(images).map(|sample| mean_over_runs(runs, &sample)).collect();
        Ok(each_of(&scores, interval))
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
        let difference = |sample: &[usize]| -> Scores {
            let (a, b) = (mean_over_runs(a, sample), mean_over_runs(b, sample));
            a.iter().filter_map(|(metric, of_a)| Some((metric, of_a - b.get(metric)?))).collect()
        };
        let drawn: Vec<Scores> = self.samples(images).map(|sample| difference(&sample)).collect();
        Ok(Comparison {
            difference: difference(&Vec::from_iter(0..images)),
            interval: each_of(&drawn, interval),
            p_value: each_of(&drawn, p_value),
        })
    }
}

/// For every metric what `of` makes of its resampled values.
fn each_of<T>(drawn: &[Scores], of: fn(&[f64]) -> T) -> Scores<T> {
    let values = |metric| drawn.iter().map(|scores| scores[metric]).collect::<Vec<f64>>();
    let metrics = drawn.first().into_iter().flat_map(Scores::metrics);
    metrics.map(|metric| (metric, of(&values(metric)))).collect()
}

/// The middle 95 % of resampled values.
#[must_use]
pub fn interval(values: &[f64]) -> [f64; 2] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 40;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    [at(cut), at(sorted.len().saturating_sub(cut + 1))]
}

/// Less than this is no difference between scores, but between two orders of adding them up.
const ROUNDING: f64 = 1e-12;

/// Two-sided p-value from resampled differences: twice the share of draws on the rarer side of 0, draws without a
/// difference on both; one is added to each count, so that a finite number of draws never claims certainty
/// (Davison and Hinkley 1997).
#[must_use]
pub fn p_value(differences: &[f64]) -> f64 {
    let (mut below, mut above, mut all) = (1, 1, 1);
    for &difference in differences {
        below += i32::from(difference <= ROUNDING);
        above += i32::from(difference >= -ROUNDING);
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

/// The mean of every metric that all runs have.
fn mean_over_runs(runs: &[Evaluation], sample: &[usize]) -> Scores {
    let scores: Vec<Scores> = runs.iter().map(|run| run.of_sample(sample)).collect();
    let mean = |&metric: &Metric| {
        let values: Option<Vec<f64>> = scores.iter().map(|run| run.get(metric)).collect();
        Some((metric, values?.iter().sum::<f64>() / runs.len() as f64))
    };
    Metric::ALL.iter().filter_map(mean).collect()
}
