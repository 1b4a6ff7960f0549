//! All metrics of one run at once.

use serde::{Deserialize, Serialize};

use crate::Tokens;
use crate::bleu::{self, BleuCounts};
use crate::cider::{DocumentFrequency, score_images};
use crate::corpus::{Corpus, ScoreError};
use crate::rouge::rouge_l;

/// Names of the scores, in the order of [`Scores::values`].
pub const NAMES: [&str; 6] = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"];

/// One value a metric: the scores of a corpus or of one image (higher is better, 0 is worst), or what is said of each
/// score, such as its interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores<T = f64> {
    /// BLEU-1, -2, -3, -4, each in 0..1.
    pub bleu: [T; 4],
    /// ROUGE-L, in 0..1.
    pub rouge_l: T,
    /// CIDEr-D, in 0..10.
    pub cider_d: T,
}

impl<T: Copy> Scores<T> {
    /// All values, in the order of [`NAMES`].
    pub fn values(&self) -> [T; 6] {
        let [b1, b2, b3, b4] = self.bleu;
        [b1, b2, b3, b4, self.rouge_l, self.cider_d]
    }

    /// A value a metric, made from its place in [`NAMES`].
    pub fn from_fn(mut value: impl FnMut(usize) -> T) -> Self {
        Scores { bleu: std::array::from_fn(&mut value), rouge_l: value(4), cider_d: value(5) }
    }
}

/// What [`score`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// BLEU from summed counts; ROUGE-L and CIDEr-D as means over images.
    pub corpus: Scores,
    /// One a hypothesis, in the order given.
    pub images: Vec<Scores>,
    /// What BLEU counted in each image.
    pub bleu_counts: Vec<BleuCounts>,
}

impl Evaluation {
    /// The corpus scores of a sample of the images, given by position; one image may occur several times.
    ///
    /// CIDEr-D keeps the document frequency of the whole corpus.
    #[must_use]
    pub fn of_sample(&self, sample: &[usize]) -> Scores {
        let bleu = sample.iter().map(|&image| self.bleu_counts[image]).sum::<BleuCounts>().bleu();
        let mean = |value: fn(&Scores) -> f64| {
            sample.iter().map(|&image| value(&self.images[image])).sum::<f64>() / sample.len().max(1) as f64
        };
        Scores { bleu, rouge_l: mean(|scores| scores.rouge_l), cider_d: mean(|scores| scores.cider_d) }
    }
}

/// Scores `hypotheses[image]` against `references[image][caption]`.
///
/// CIDEr-D takes its document frequency from these references, so it is 0 for a single image. An empty hypothesis
/// scores 0 everywhere.
///
/// # Errors
/// When the lists differ in length, are empty, or an image has no references.
pub fn score(references: &[Vec<Tokens>], hypotheses: &[Tokens]) -> Result<Evaluation, ScoreError> {
    let frequency = DocumentFrequency::new(references)?;
    let corpus = Corpus::new(references, hypotheses, &frequency.words)?;
    let bleu_counts = bleu::counts(&corpus);
    let images = bleu_counts
        .iter()
        .zip(rouge_l(&corpus))
        .zip(score_images(&corpus, &frequency))
        .map(|((counts, rouge_l), cider_d)| Scores { bleu: counts.bleu(), rouge_l, cider_d })
        .collect();
    let mut evaluation = Evaluation { corpus: Scores::default(), images, bleu_counts };
    evaluation.corpus = evaluation.of_sample(&Vec::from_iter(0..hypotheses.len()));
    Ok(evaluation)
}
