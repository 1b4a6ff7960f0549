//! Which decoders a run has trained.

use artifacts::layout::is_unfinished;
use artifacts::manifest::ManifestError;
use artifacts::{Manifest, ModelId, RunFolder};

/// The finished decoders that read these sets of features and no others, in alphabetical order.
pub(crate) fn models(run: &RunFolder, sets: &[String]) -> anyhow::Result<Vec<ModelId>> {
    let entries = match std::fs::read_dir(run.trainings()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries?,
    };
    let mut models = Vec::new();
    for entry in entries {
        let folder = entry?.path();
        match Manifest::read(&folder) {
            _ if !folder.is_dir() || is_unfinished(&folder) => {}
            Err(ManifestError::Missing(_)) => {}
            manifest => models.extend(manifest?.model.filter(|model| model.sets == sets)),
        }
    }
    models.sort();
    Ok(models)
}
