//! Systems against a baseline on the same images: what a decoder gains over the one without attention.
//!
//! Everything is scored anew from `per_image.parquet`, which holds the captions and the references, so a comparison needs
//! no model and no features.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use artifacts::per_image::{self, PerImageRow};
use artifacts::table;
use metrics::bootstrap::{Bootstrap, Comparison};
use metrics::tokenize::caption_tokens;
use metrics::{Evaluation, Tokens};
use serde::{Deserialize, Serialize};

/// File name in the folder of the comparison.
pub(crate) const FILE: &str = "comparison.json";
/// Name of the comparison among the evaluations, after that of the features.
pub(crate) const NAME: &str = "comparison";

/// `comparison.json`: what each decoder gains over the baseline.
#[derive(Serialize, Deserialize)]
pub(crate) struct ComparisonFile {
    pub(crate) baseline: String,
    pub(crate) test: String,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) models: BTreeMap<String, Comparison>,
}

/// What a comparison is based on, in words.
pub(crate) const TEST: &str = "paired bootstrap over images, two-sided";

/// The captions of one evaluation, scored anew.
pub(crate) struct Rescored {
    /// Image and references, which two evaluations must share to be compared.
    pub(crate) images: Vec<(String, Vec<String>)>,
    pub(crate) evaluation: Evaluation,
}

impl Rescored {
    /// Reads and scores `per_image.parquet` of an evaluation folder.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Rescored> {
        let path = folder.join(per_image::FILE);
        let (rows, _) = table::read::<PerImageRow>(&path)?;
        let tokens = |captions: &[String]| captions.iter().map(|caption| caption_tokens(caption)).collect();
        let references: Vec<Vec<Tokens>> = rows.iter().map(|row| tokens(&row.references)).collect();
        let hypotheses: Vec<Tokens> = rows.iter().map(|row| caption_tokens(&row.caption)).collect();
        let evaluation =
            metrics::score(&references, &hypotheses).with_context(|| path.display().to_string())?;
        let images = rows.into_iter().map(|row| (row.image_id, row.references)).collect();
        Ok(Rescored { images, evaluation })
    }
}

/// Compares evaluation folders with the baseline's, by name.
pub(crate) fn compare(
    baseline: (&str, &Path),
    others: &[(String, std::path::PathBuf)],
    bootstrap: Bootstrap,
) -> anyhow::Result<ComparisonFile> {
    let (name, folder) = baseline;
    let without = Rescored::read(folder)?;
    let mut models = BTreeMap::new();
    for (other, folder) in others {
        let with = Rescored::read(folder)?;
        anyhow::ensure!(
            with.images == without.images,
            "{other} and {name} were evaluated on different images or references: run `evaluate` again"
        );
        let gain = bootstrap.compare(&[with.evaluation], std::slice::from_ref(&without.evaluation))?;
        models.insert(other.clone(), gain);
    }
    Ok(ComparisonFile { baseline: name.to_owned(), test: TEST.to_owned(), bootstrap, models })
}
