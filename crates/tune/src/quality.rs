//! How well words are predicted: average precision, calibration, and the error that is left of it.

use model::tuned::{Calibration, WordScores, likeliest};

use crate::examples::Examples;

/// Words that fewer images have say little about a ranking.
const LEAST_IMAGES: usize = 10;
/// Words of an image whose probabilities are compared with what people said.
const SAID: usize = 5;
const BINS: usize = 10;
const NEWTON_STEPS: usize = 50;

/// Scores of the words for some images of `examples`.
pub(crate) struct Predictions<'a> {
    pub(crate) examples: &'a Examples,
    /// Those images.
    pub(crate) images: Vec<usize>,
    /// `[images][words]`, before the sigmoid.
    pub(crate) scores: Vec<Vec<f32>>,
    /// The content words.
    pub(crate) content: &'a [usize],
}

impl Predictions<'_> {
    /// The calibration that makes the content words' probabilities likeliest.
    pub(crate) fn calibration(&self) -> Calibration {
        fit(&self.pairs(|scores| self.content.iter().map(|&word| (word, scores[word])).collect()))
    }

    /// How good the predictions are, calibrated so.
    pub(crate) fn quality(&self, calibration: &Calibration) -> WordScores {
        let precisions: Vec<f64> =
            self.content.iter().filter_map(|&word| self.average_precision(word)).collect();
        WordScores {
            mean_average_precision: precisions.iter().sum::<f64>() / precisions.len().max(1) as f64,
            calibration_error: self.calibration_error(calibration),
            words: precisions.len(),
            images: self.images.len(),
        }
    }

    /// Mean precision over the ranks of the images that have the word, when they are ranked by its score.
    fn average_precision(&self, word: usize) -> Option<f64> {
        let mut ranked: Vec<(f32, bool)> = self
            .images
            .iter()
            .zip(&self.scores)
            .map(|(&image, scores)| (scores[word], self.examples.share(image, word) > 0.0))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let hits: Vec<usize> = (0..ranked.len()).filter(|&rank| ranked[rank].1).collect();
        let precision = |(found, rank): (usize, &usize)| (found + 1) as f64 / (rank + 1) as f64;
        (hits.len() >= LEAST_IMAGES)
            .then(|| hits.iter().enumerate().map(precision).sum::<f64>() / hits.len() as f64)
    }

    fn calibration_error(&self, calibration: &Calibration) -> f64 {
        let said = self.pairs(|scores| {
            let words = likeliest(scores, self.content, SAID);
            words.into_iter().map(|word| (word, scores[word])).collect()
        });
        let mut bins = [(0.0, 0.0); BINS];
        for &(score, share) in &said {
            let probability = calibration.probability(score);
            let bin = &mut bins[((probability * BINS as f64) as usize).min(BINS - 1)];
            *bin = (bin.0 + probability, bin.1 + share);
        }
        bins.iter().map(|(probability, share)| (probability - share).abs()).sum::<f64>()
            / said.len().max(1) as f64
    }

    /// Score and share of some words of each image.
    fn pairs(&self, words: impl Fn(&[f32]) -> Vec<(usize, f32)>) -> Vec<(f64, f64)> {
        let of_image = |(&image, scores): (&usize, &Vec<f32>)| {
            let pair = |(word, score)| (f64::from(score), f64::from(self.examples.share(image, word)));
            words(scores).into_iter().map(pair).collect::<Vec<_>>()
        };
        self.images.iter().zip(&self.scores).flat_map(of_image).collect()
    }
}

/// Scale and shift with the least cross-entropy over pairs of score and share, by Newton's method.
fn fit(pairs: &[(f64, f64)]) -> Calibration {
    let mut fitted = Calibration::NONE;
    for _ in 0..NEWTON_STEPS {
        // Gradient and Hessian, with a ridge that keeps it invertible where all scores are equal.
        let (mut g, mut h) = ([0.0; 2], [1e-9, 0.0, 1e-9]);
        for &(score, share) in pairs {
            let p = fitted.probability(score);
            let (error, weight) = (p - share, p * (1.0 - p));
            g = [g[0] + error * score, g[1] + error];
            h = [h[0] + weight * score * score, h[1] + weight * score, h[2] + weight];
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        let step = [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant];
        if step.iter().any(|step| !step.is_finite()) {
            break;
        }
        fitted = Calibration { scale: fitted.scale - step[0], shift: fitted.shift - step[1] };
        if step.iter().all(|step| step.abs() < 1e-10) {
            break;
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_calibration_is_found() {
        let wanted = Calibration { scale: 0.7, shift: -0.4 };
        let pairs: Vec<(f64, f64)> = (-40..40)
            .map(|step| f64::from(step) / 8.0)
            .map(|score| (score, wanted.probability(score)))
            .collect();
        let found = fit(&pairs);
        assert!((found.scale - 0.7).abs() < 1e-6 && (found.shift + 0.4).abs() < 1e-6, "{found:?}");
        // Scores that say nothing, and none at all.
        let flat = fit(&[(1.0, 0.25), (1.0, 0.25)]);
        assert!((flat.probability(1.0) - 0.25).abs() < 1e-6, "{flat:?}");
        assert_eq!(fit(&[]), Calibration::NONE);
    }
}
