//! Everything that is measured about the captions of one system.

use std::collections::{BTreeMap, HashSet};

use metrics::bootstrap::Bootstrap;
use metrics::diversity::{Diversity, Lengths, diversity, lengths};
use metrics::{Evaluation, MeteorSource, Metric, Scorer, Scores, Tokens};
use serde::{Deserialize, Serialize};

/// Scores with their intervals, and what the captions are like.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sheet {
    /// Scores of the corpus, by metric.
    pub scores: Scores,
    /// 95 % intervals of the scores.
    pub intervals: Scores<[f64; 2]>,
    /// Why a metric has no score.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_computed: BTreeMap<Metric, String>,
    /// Different captions among all.
    pub distinct_captions: usize,
    /// How varied the captions are.
    pub diversity: Diversity,
    /// Words of the captions.
    pub lengths: Lengths,
    /// Words of the references.
    pub reference_lengths: Lengths,
    /// The draws behind the intervals.
    pub bootstrap: Bootstrap,
}

/// How captions are measured.
#[derive(Clone, Copy)]
pub struct Measure<'a> {
    /// The draws behind intervals.
    pub bootstrap: Bootstrap,
    /// Where METEOR's statistics come from.
    pub meteor: MeteorSource<'a>,
    /// The captions that the system learnt from.
    pub train: Option<&'a HashSet<Tokens>>,
}

impl Measure<'_> {
    /// Measures `hypotheses[image]` against `references[image][caption]`.
    ///
    /// # Errors
    /// When the lists do not fit each other, an image has no references, or METEOR's program does not answer.
    pub fn sheet(
        &self,
        references: &[Vec<Tokens>],
        hypotheses: &[Tokens],
    ) -> anyhow::Result<(Sheet, Evaluation)> {
        let evaluation = Scorer { meteor: self.meteor, ..Scorer::default() }.score(references, hypotheses)?;
        let sheet = Sheet {
            scores: evaluation.corpus,
            intervals: self.bootstrap.intervals(std::slice::from_ref(&evaluation))?,
            not_computed: evaluation.not_computed.clone(),
            distinct_captions: hypotheses.iter().collect::<HashSet<_>>().len(),
            diversity: diversity(hypotheses, self.train),
            lengths: lengths(hypotheses),
            reference_lengths: lengths(references.iter().flatten()),
            bootstrap: self.bootstrap,
        };
        Ok((sheet, evaluation))
    }
}
