//! An evaluation scored anew from `per_image.parquet`, which holds the words of captions and references: no model, no
//! features and no other program is needed.

use std::path::Path;

use anyhow::Context as _;
use artifacts::per_image::{self, PerImage};
use metrics::{Evaluation, MeteorSource, Metric, Scorer, Tokens};

/// The captions of one evaluation with their scores.
pub(crate) struct Rescored {
    /// Image and references, which two evaluations must share to be compared.
    pub(crate) images: Vec<(String, Vec<String>)>,
    pub(crate) evaluation: Evaluation,
}

impl Rescored {
    /// Reads and scores `per_image.parquet` of an evaluation folder, by the metrics that the evaluation has.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Rescored> {
        let path = folder.join(per_image::FILE);
        let PerImage { rows, scores, statistics } = PerImage::read(&path)?;
        let metrics: Vec<Metric> = scores.keys().filter_map(|key| Metric::from_key(key)).collect();
        let meteor = match statistics.get(Metric::Meteor.key()) {
            Some(counted) => MeteorSource::Counted(counted),
            None => MeteorSource::None,
        };
        let references: Vec<Vec<Tokens>> = rows.iter().map(|row| row.reference_words.clone()).collect();
        let hypotheses: Vec<Tokens> = rows.iter().map(|row| row.words.clone()).collect();
        let scorer = Scorer { metrics: &metrics, meteor };
        let evaluation =
            scorer.score(&references, &hypotheses).with_context(|| path.display().to_string())?;
        let images = rows.into_iter().map(|row| (row.image_id, row.references)).collect();
        Ok(Rescored { images, evaluation })
    }
}
