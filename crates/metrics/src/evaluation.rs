//! All metrics of one run at once.

use serde::{Deserialize, Serialize};

use crate::Tokens;
use crate::bleu::bleu;
use crate::cider::{DocumentFrequency, score_images};
use crate::corpus::{Corpus, ScoreError};
use crate::rouge::rouge_l;

/// The scores of a corpus or of one image; higher is better, 0 is worst.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// BLEU-1, -2, -3, -4, each in 0..1.
    pub bleu: [f64; 4],
    /// ROUGE-L, in 0..1.
    pub rouge_l: f64,
    /// CIDEr-D, in 0..10.
    pub cider_d: f64,
}

/// What [`score`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// BLEU from summed counts; ROUGE-L and CIDEr-D as means over images.
    pub corpus: Scores,
    /// One a hypothesis, in the order given.
    pub images: Vec<Scores>,
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
    let (corpus_bleu, image_bleu) = bleu(&corpus);
    let rouge = rouge_l(&corpus);
    let cider = score_images(&corpus, &frequency);
    Ok(Evaluation {
        corpus: Scores { bleu: corpus_bleu, rouge_l: mean(&rouge), cider_d: mean(&cider) },
        images: image_bleu
            .into_iter()
            .zip(rouge)
            .zip(cider)
            .map(|((bleu, rouge_l), cider_d)| Scores { bleu, rouge_l, cider_d })
            .collect(),
    })
}

/// The mean of at least one value.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
