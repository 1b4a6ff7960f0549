//! Everything that is measured about the captions of one system, whoever wrote them.

use std::collections::HashSet;
use std::path::Path;

use metrics::bootstrap::{Bootstrap, interval};
use metrics::diversity::{Diversity, Lengths, diversity, lengths};
use metrics::meteor::Meteor;
use metrics::{Evaluation, Scores, Tokens};
use serde::{Deserialize, Serialize};

/// Scores with their intervals, and what the captions are like.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sheet {
    pub(crate) scores: Scores,
    /// 95 % intervals of the scores.
    pub(crate) intervals: Scores<[f64; 2]>,
    pub(crate) meteor: MeteorLine,
    /// Different captions among all.
    pub(crate) distinct_captions: usize,
    pub(crate) diversity: Diversity,
    /// Words of the captions.
    pub(crate) lengths: Lengths,
    /// Words of the references.
    pub(crate) reference_lengths: Lengths,
    pub(crate) bootstrap: Bootstrap,
}

/// METEOR, or why there is none.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum MeteorLine {
    Computed { score: f64, interval: [f64; 2] },
    NotComputed { not_computed: String },
}

impl std::fmt::Display for MeteorLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MeteorLine::Computed { score, interval: [low, high] } => {
                write!(f, "{score:.4} ({low:.4}–{high:.4})")
            }
            MeteorLine::NotComputed { not_computed } => write!(f, "not computed: {not_computed}"),
        }
    }
}

/// How captions are measured.
#[derive(Clone, Copy)]
pub(crate) struct Measure<'a> {
    pub(crate) bootstrap: Bootstrap,
    /// The METEOR 1.5 program.
    pub(crate) meteor_jar: Option<&'a Path>,
    /// The captions that the system learnt from.
    pub(crate) train: Option<&'a HashSet<Tokens>>,
}

impl Measure<'_> {
    /// Measures `hypotheses[image]` against `references[image][caption]`.
    pub(crate) fn sheet(
        &self,
        references: &[Vec<Tokens>],
        hypotheses: &[Tokens],
    ) -> anyhow::Result<(Sheet, Evaluation)> {
        let evaluation = metrics::score(references, hypotheses)?;
        let sheet = Sheet {
            scores: evaluation.corpus,
            intervals: self.bootstrap.intervals(std::slice::from_ref(&evaluation))?,
            meteor: self.meteor(references, hypotheses)?,
            distinct_captions: hypotheses.iter().collect::<HashSet<_>>().len(),
            diversity: diversity(hypotheses, self.train),
            lengths: lengths(hypotheses),
            reference_lengths: lengths(references.iter().flatten()),
            bootstrap: self.bootstrap,
        };
        Ok((sheet, evaluation))
    }

    fn meteor(&self, references: &[Vec<Tokens>], hypotheses: &[Tokens]) -> anyhow::Result<MeteorLine> {
        let Some(jar) = self.meteor_jar else {
            let not_computed = "no jar of METEOR 1.5 was named (it needs Java)".to_owned();
            return Ok(MeteorLine::NotComputed { not_computed });
        };
        let mut meteor = Meteor::start(jar)?;
        let scores = meteor.score(references, hypotheses)?;
        let drawn = meteor.resampled(&scores, &self.bootstrap)?;
        Ok(MeteorLine::Computed { score: scores.corpus, interval: interval(drawn.into_iter()) })
    }
}
