//! The captioner's file.

use std::path::Path;

use anyhow::Context;
use artifacts::RunFolder;
use artifacts::tensor_file::{CAPTIONER_KEY, TensorHeader};
use model::captioner_file::{CaptionerFile, OnnxNetworks};
use model::weights::WeightPlaces;

use crate::evaluated::Evaluated;

/// The model with its search settings, its scores, and its backbones: their published weights lie in `weights`, tuned ones in
/// the run. Networks of others are packed too, or named by their hash alone.
///
/// # Errors
///
/// When a checkpoint is not the one that was evaluated, or weights are not those of the features.
pub fn pack(
    run: &RunFolder,
    model: &Evaluated,
    weights: &Path,
    networks: OnnxNetworks,
) -> anyhow::Result<CaptionerFile> {
    let mut scores = serde_json::to_value(&model.scores)?;
    // What the header says itself.
    scores.as_object_mut().map(|scores| scores.remove("details"));
    let checkpoints = model.checkpoints(run)?;
    let weights = WeightPlaces { published: weights.to_owned(), run: Some(run.clone()) };
    let search = model.search().clone();
    Ok(CaptionerFile::pack(model.name(), &checkpoints, &weights, networks, search, scores)?)
}

/// Writes a captioner, in the place of an older one at most.
///
/// # Errors
///
/// When another file has that name, or the system refuses.
pub fn write(captioner: &CaptionerFile, path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !path.exists() || is_export(path),
        "{} is there and is no export: remove it, or name another --output",
        path.display()
    );
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(captioner.write(path)?)
}

/// Whether a file is a captioner.
pub fn is_export(path: &Path) -> bool {
    TensorHeader::read(path).is_ok_and(|header| header.entries.contains_key(CAPTIONER_KEY))
}
