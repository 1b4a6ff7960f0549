//! The model to use when none is named.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use artifacts::manifest;
use model::checkpoint;

use crate::error::CaptionError;

/// The checkpoint of the training that finished last in any run below `runs` (`data/runs`).
pub fn newest_model(runs: &Path) -> Result<PathBuf, CaptionError> {
    let folders = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    // The manifest is written last: without one, the training is still running or was killed.
    let finished = |folder: &PathBuf| -> Option<(SystemTime, PathBuf)> {
        let model = folder.join(checkpoint::FILE);
        let time = std::fs::metadata(folder.join(manifest::FILE)).and_then(|manifest| manifest.modified());
        model.is_file().then_some((time.ok()?, model))
    };
    let trained = folders(runs).into_iter().flat_map(|run| folders(&run.join("train")));
    let newest = trained.filter_map(|folder| finished(&folder)).max();
    newest.map(|(_, model)| model).ok_or_else(|| CaptionError::NoModel(runs.to_owned()))
}
