//! What a run has evaluated, and which of it is exported.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use artifacts::recipe::digest_file;
use artifacts::{ModelId, RunFolder, Split};
use metrics::Metric;
use model::captioner_file::Trained;
use model::checkpoint;
use model::search::SearchSettings;
use scoring::ScoreFile;
use serde::Deserialize;

/// The score by which models are compared, as in the README's tables.
const BY: Metric = Metric::CiderD;

/// A trained model with its scores.
pub struct Evaluated {
    /// What `scores.json` holds.
    pub scores: ScoreFile,
    id: ModelId,
    details: Details,
}

/// What `scores.json` says of a trained model beside its scores.
#[derive(Deserialize)]
struct Details {
    search: SearchSettings,
    /// Content hashes by the names of the trainings.
    checkpoints: BTreeMap<String, String>,
}

impl Evaluated {
    /// The model called `name` among those that were evaluated on a split; else the ensemble that the recipe names, or the
    /// best by CIDEr-D where there is none.
    ///
    /// # Errors
    ///
    /// When nothing was evaluated, or no model has that name.
    pub fn choose(run: &RunFolder, split: Split, name: Option<&str>) -> anyhow::Result<Evaluated> {
        let mut all = evaluated(run, split)?;
        if all.is_empty() {
            let folder = run.path().display();
            bail!(
                "{folder} has no model with scores on {split}: run `just evaluate`, or name another --split"
            );
        }
        if let Some(name) = name {
            let there: Vec<String> = all.iter().map(|model| model.name().to_owned()).collect();
            let found = all.into_iter().find(|model| model.name() == name);
            return found.with_context(|| format!("--model {name}: there are {}", there.join(", ")));
        }
        all.sort_by(|a, b| {
            let rank = |model: &Evaluated| (model.is_ensemble(), model.score());
            let ((a_together, a), (b_together, b)) = (rank(a), rank(b));
            a_together.cmp(&b_together).then(a.total_cmp(&b))
        });
        all.pop().context("no model")
    }

    /// Name of the model.
    pub fn name(&self) -> &str {
        &self.scores.model
    }

    /// How its captions were searched.
    pub fn search(&self) -> &SearchSettings {
        &self.details.search
    }

    /// Whether several decoders write together.
    pub fn is_ensemble(&self) -> bool {
        self.id.decoders.len() > 1
    }

    fn score(&self) -> f64 {
        self.scores.sheet.scores.get(BY).unwrap_or_default()
    }

    /// Its checkpoints, which must still be those that were evaluated.
    ///
    /// # Errors
    ///
    /// When one is not there, or was trained again.
    pub fn checkpoints(&self, run: &RunFolder) -> anyhow::Result<Vec<Trained>> {
        let trained = |id: ModelId| {
            let name = id.to_string();
            let path = run.train(&name).join(checkpoint::FILE);
            let hash = digest_file(&path).with_context(|| path.display().to_string())?;
            anyhow::ensure!(
                self.details.checkpoints.get(&name) == Some(&hash),
                "{} is not the checkpoint whose captions were scored: run `just evaluate` again",
                path.display()
            );
            Ok(Trained { name, path, hash })
        };
        self.id.members().map(trained).collect()
    }
}

impl fmt::Display for Evaluated {
    /// Its name and its score.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_ensemble() { ", an ensemble" } else { "" };
        write!(f, "{}{what}: {BY} {:.3}", self.name(), self.score())
    }
}

/// All trained models with scores on a split, in the order of their names.
fn evaluated(run: &RunFolder, split: Split) -> anyhow::Result<Vec<Evaluated>> {
    let folder = run.path().join("evaluate");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        names.push(entry.with_context(|| folder.display().to_string())?.file_name());
    }
    names.sort();
    let folders = names.iter().map(|name| run.evaluate(name.to_string_lossy(), split));
    let finished = folders.filter(|folder| is_finished(folder));
    let read = |folder: PathBuf| -> anyhow::Result<Option<Evaluated>> {
        let scores = ScoreFile::read(&folder)?;
        // Blind captions and those of people have no decoder.
        let Some(id) = scores.id.clone() else { return Ok(None) };
        let details = Details::deserialize(&scores.details)
            .with_context(|| format!("{}: run `just evaluate` again", folder.display()))?;
        Ok(Some(Evaluated { scores, id, details }))
    };
    finished.filter_map(|folder| read(folder).transpose()).collect()
}

/// The manifest is written last.
fn is_finished(folder: &Path) -> bool {
    artifacts::manifest::is_in(folder) && folder.join(scoring::FILE).is_file()
}
