//! All metrics of one run at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Tokens;
use crate::error::ScoreError;
use crate::given::Given;
use crate::meteor::MeteorSource;
use crate::metric::Metric;
use crate::scores::Scores;
use crate::tally::{Tallied, Tally};

/// What [`score`] found.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Of all captions together: not the mean of the images, for most metrics.
    pub corpus: Scores,
    /// The scores of each hypothesis, in the order given.
    pub images: Vec<Scores>,
    /// Why a metric that was asked for has no score.
    pub not_computed: BTreeMap<Metric, String>,
    tallies: Vec<(Metric, Arc<dyn Tally>)>,
}

impl Evaluation {
    /// The corpus scores of a sample of the images, given by position; one image may occur several times.
    ///
    /// CIDEr-D keeps the document frequency of the whole corpus.
    #[must_use]
    pub fn of_sample(&self, sample: &[usize]) -> Scores {
        self.tallies.iter().map(|(metric, tally)| (*metric, tally.score(sample))).collect()
    }

    /// What a program outside this crate counted in each image, for metrics that cannot be computed again without it:
    /// METEOR's statistics, which [`MeteorSource::Counted`] takes in place of the program.
    #[must_use]
    pub fn counted(&self) -> BTreeMap<Metric, Vec<Vec<f64>>> {
        self.tallies.iter().filter_map(|(metric, tally)| Some((*metric, tally.counted()?))).collect()
    }
}

/// Which metrics are computed, and how.
#[derive(Debug, Clone, Copy)]
pub struct Scorer<'a> {
    /// The metrics wanted.
    pub metrics: &'a [Metric],
    /// Where METEOR's statistics come from.
    pub meteor: MeteorSource<'a>,
}

impl Default for Scorer<'_> {
    fn default() -> Self {
        Scorer { metrics: Metric::ALL, meteor: MeteorSource::None }
    }
}

impl Scorer<'_> {
    /// Scores `hypotheses[image]` against `references[image][caption]`.
    ///
    /// CIDEr-D takes its document frequency from these references, so it is 0 for a single image. An empty hypothesis
    /// scores 0 everywhere.
    ///
    /// # Errors
    /// When the lists differ in length, are empty, or an image has no references; when METEOR's program does not answer.
    pub fn score(&self, references: &[Vec<Tokens>], hypotheses: &[Tokens]) -> Result<Evaluation, ScoreError> {
        let given = Given::new(references, hypotheses, self.meteor)?;
        let mut not_computed = BTreeMap::new();
        let mut tallies = Vec::new();
        for &metric in self.metrics {
            match metric.tally(&given)? {
                Tallied::Computed(tally) => tallies.push((metric, tally)),
                Tallied::NotComputed(reason) => {
                    not_computed.insert(metric, reason.to_owned());
                }
            }
        }
        let mut evaluation = Evaluation { corpus: Scores::default(), images: vec![], not_computed, tallies };
        evaluation.images = (0..hypotheses.len()).map(|image| evaluation.of_sample(&[image])).collect();
        evaluation.corpus = evaluation.of_sample(&Vec::from_iter(0..hypotheses.len()));
        Ok(evaluation)
    }
}

/// Scores `hypotheses[image]` against `references[image][caption]` by every metric that needs no other program.
///
/// # Errors
/// When the lists differ in length, are empty, or an image has no references.
pub fn score(references: &[Vec<Tokens>], hypotheses: &[Tokens]) -> Result<Evaluation, ScoreError> {
    Scorer::default().score(references, hypotheses)
}
