//! The model to use when none is named.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use artifacts::layout::is_unfinished;
use artifacts::{RunFolder, manifest};
use model::checkpoint;

use crate::error::CaptionError;

/// The newest model in any run below `runs` (`data/runs`): a finished training's checkpoint, or an export.
///
/// # Errors
///
/// When there is none.
pub fn newest_model(runs: &Path) -> Result<PathBuf, CaptionError> {
    let models = inside(runs).into_iter().flat_map(|run| {
        let run = RunFolder::new(run);
        let trained = inside(&run.path().join("train")).into_iter().filter_map(|folder| trained(&folder));
        let exported = inside(&run.exports()).into_iter().filter_map(exported);
        trained.chain(exported).collect::<Vec<_>>()
    });
    models.max().map(|(_, model)| model).ok_or_else(|| CaptionError::NoModel(runs.to_owned()))
}

fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// The checkpoint of a finished training, from when it ended.
fn trained(folder: &Path) -> Option<(SystemTime, PathBuf)> {
    let model = folder.join(checkpoint::FILE);
    let finished = !is_unfinished(folder) && model.is_file();
    finished.then_some((modified(&folder.join(manifest::FILE))?, model))
}

/// An export, which appears under its name when it is complete.
fn exported(file: PathBuf) -> Option<(SystemTime, PathBuf)> {
    let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let model = !hidden && file.extension().is_some_and(|extension| extension == "safetensors");
    model.then_some((modified(&file)?, file))
}
