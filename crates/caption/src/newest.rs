//! The model to use when none is named.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use artifacts::layout::is_unfinished;
use artifacts::{Manifest, RunFolder, manifest};
use model::checkpoint;
use stage::RunSettings;

use crate::error::CaptionError;

/// What captions photos before anything was trained.
const STARTER: &str = "models/starter.safetensors";

/// The model to use when none is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultModel {
    /// A file for [`Captioner::open`](crate::Captioner::open).
    pub path: PathBuf,
    /// Why this one, in a few words for people.
    pub why: &'static str,
}

/// Chooses between the starter (`models/starter.safetensors`) and the newest model of any run below `data/runs`, a finished
/// training's checkpoint or an export: whichever is newer. Runs on the built-in drawn scenes, which know no photo, count when
/// there is nothing else. Both are looked for below `folder`; an empty path is the working directory.
///
/// # Errors
///
/// When there is no model.
pub fn default_model(folder: &Path) -> Result<DefaultModel, CaptionError> {
    let (starter, runs) = (folder.join(STARTER), folder.join(RunSettings::default().folder));
    let mut newest: Vec<(SystemTime, PathBuf, RunFolder)> = inside(&runs).filter_map(newest_of).collect();
    newest.sort_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
    let own = newest.iter().find(|(_, _, run)| !is_of_scenes(run));
    let chosen = match (own, modified(&starter)) {
        (Some((finished, model, _)), made) if made.is_none_or(|made| *finished > made) => {
            (model.clone(), "the newest of your runs")
        }
        (_, Some(_)) => (starter, "the starter: no run of yours is newer"),
        _ => match newest.into_iter().next() {
            Some((_, model, _)) => (model, "of drawn scenes: there is no other"),
            None => return Err(CaptionError::NoModel { runs, starter }),
        },
    };
    Ok(DefaultModel { path: chosen.0, why: chosen.1 })
}

/// The newest model of the run in a folder, with when it was finished.
fn newest_of(run: PathBuf) -> Option<(SystemTime, PathBuf, RunFolder)> {
    let run = RunFolder::new(run);
    let trained = inside(&run.trainings()).filter_map(trained);
    let (finished, model) = trained.chain(inside(&run.exports()).filter_map(exported)).max()?;
    Some((finished, model, run))
}

fn is_of_scenes(run: &RunFolder) -> bool {
    Manifest::read(&run.dataset()).is_ok_and(|manifest| manifest.is_of_scenes())
}

fn inside(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// The checkpoint of a finished training, from when it ended.
fn trained(folder: PathBuf) -> Option<(SystemTime, PathBuf)> {
    let model = folder.join(checkpoint::FILE);
    let finished = !is_unfinished(&folder) && model.is_file();
    finished.then_some((modified(&manifest::path(&folder))?, model))
}

/// An export, which appears under its name when it is complete.
fn exported(file: PathBuf) -> Option<(SystemTime, PathBuf)> {
    let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let model = !hidden && file.extension().is_some_and(|extension| extension == "safetensors");
    model.then_some((modified(&file)?, file))
}
