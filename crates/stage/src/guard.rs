//! The guard around a stage's work: is it done already, and if not, why not.
//!
//! A folder with a manifest of the same fingerprint is up to date. Otherwise the manifest is removed first and
//! written last, so that a killed stage never looks finished. A lock file keeps a second process out meanwhile.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Instant;

use artifacts::manifest::{self, Manifest, ManifestError, Output, Warning};
use artifacts::{ModelId, Recipe};
use serde_json::{Map, Value};

/// Why a stage cannot begin or finish.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Another process works in the folder.
    #[error("another process is writing {}: wait for it to end", .0.display())]
    Busy(PathBuf),
    /// The system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// An output of the stage could not be read back, or the manifest not written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Whether there is something to do.
pub enum Begin {
    /// The artifact is complete and its recipe unchanged.
    UpToDate(Manifest),
    /// The artifact is to be made.
    Work(Work),
}

/// The right to write one artifact folder, held until [`Work::finish`].
pub struct Work {
    folder: PathBuf,
    recipe: Recipe,
    reason: String,
    model: Option<ModelId>,
    warnings: Vec<Warning>,
    started: Instant,
    _locks: Vec<File>,
}

/// Opens `folder` for the work that `recipe` describes.
///
/// # Errors
///
/// The folder cannot be made or locked, or another process holds it.
pub fn begin(folder: &Path, recipe: Recipe, force: bool) -> Result<Begin, StageError> {
    begin_shard(folder, recipe, force, None)
}

/// Opens `folder` for one of several processes that share the work; the number tells them apart.
///
/// # Errors
///
/// As [`begin`]'s; also where another process has the same number.
pub fn begin_shard(
    folder: &Path,
    recipe: Recipe,
    force: bool,
    shard: Option<usize>,
) -> Result<Begin, StageError> {
    let io = |path: &Path, source| StageError::Io { path: path.to_owned(), source };
    let reason = match Manifest::read(folder) {
        _ if force => "--force".to_owned(),
        Ok(old) => match recipe.difference(&old.recipe) {
            Some(difference) => difference,
            None => match old.damaged_output(folder) {
                None => return Ok(Begin::UpToDate(old)),
                Some(output) => format!("{} is missing or was changed", output.file),
            },
        },
        Err(ManifestError::Missing(_)) => "not made yet".to_owned(),
        Err(error) => error.to_string(),
    };
    std::fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
    let locks = match shard {
        None => vec![lock(folder, ".lock", File::try_lock)?],
        Some(number) => vec![
            lock(folder, ".lock", File::try_lock_shared)?,
            lock(folder, &format!(".lock-{number}"), File::try_lock)?,
        ],
    };
    let manifest = folder.join(manifest::FILE);
    match std::fs::remove_file(&manifest) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(io(&manifest, source)),
        _ => {}
    }
    Ok(Begin::Work(Work {
        folder: folder.to_owned(),
        recipe,
        reason,
        model: None,
        warnings: Vec::new(),
        started: Instant::now(),
        _locks: locks,
    }))
}

fn lock(folder: &Path, name: &str, claim: fn(&File) -> Result<(), TryLockError>) -> Result<File, StageError> {
    let path = folder.join(name);
    let file = File::create(&path).map_err(|source| StageError::Io { path: path.clone(), source })?;
    match claim(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StageError::Busy(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(StageError::Io { path, source }),
    }
}

impl Work {
    /// Why the stage runs: what changed, in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The recipe of this work.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The path of a file in the artifact folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Notes that something was skipped or cut.
    pub fn warn(&mut self, subject: impl Into<String>, reason: impl Into<String>) {
        self.warnings.push(Warning { subject: subject.into(), reason: reason.into() });
    }

    /// Says which trained decoder the artifact is of.
    pub fn of_model(&mut self, model: ModelId) {
        self.model = Some(model);
    }

    /// Writes the manifest, which declares the artifact complete.
    ///
    /// # Errors
    /// When one of `files` is not there, or the disk refuses the manifest.
    pub fn finish(
        self,
        files: &[impl AsRef<str>],
        summary: Map<String, Value>,
    ) -> Result<Manifest, StageError> {
        let outputs = files.iter().map(|file| Output::of(&self.folder, file.as_ref()));
        let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        outputs.sort_by(|a, b| a.file.cmp(&b.file));
        let manifest = Manifest {
            fingerprint: self.recipe.fingerprint(),
            recipe: self.recipe,
            model: self.model,
            outputs,
            warnings: self.warnings,
            summary,
            seconds: self.started.elapsed().as_secs_f64(),
        };
        manifest.write(&self.folder)?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(setting: u32) -> Recipe {
        Recipe::new("text", 1, &serde_json::json!({ "setting": setting })).unwrap()
    }

    fn work(folder: &Path, setting: u32) -> Work {
        match begin(folder, recipe(setting), false).unwrap() {
            Begin::Work(work) => work,
            Begin::UpToDate(_) => panic!("expected work"),
        }
    }

    #[test]
    fn finished_work_is_up_to_date_until_a_setting_or_an_output_changes() {
        let folder = tempfile::tempdir().unwrap();
        let first = work(folder.path(), 1);
        assert_eq!(first.reason(), "not made yet");
        std::fs::write(first.path("a.txt"), "content").unwrap();
        first.finish(&["a.txt"], Default::default()).unwrap();
        assert!(matches!(begin(folder.path(), recipe(1), false).unwrap(), Begin::UpToDate(_)));

        std::fs::write(folder.path().join("a.txt"), "cut").unwrap();
        assert_eq!(work(folder.path(), 1).reason(), "a.txt is missing or was changed");
    }

    #[test]
    fn unfinished_work_is_not_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        work(folder.path(), 1).finish(&[] as &[&str], Default::default()).unwrap();
        assert_eq!(work(folder.path(), 2).reason(), "setting setting: 1 → 2");
        assert_eq!(work(folder.path(), 1).reason(), "not made yet");
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let _first = work(folder.path(), 1);
        assert!(matches!(begin(folder.path(), recipe(1), false), Err(StageError::Busy(_))));
        assert!(matches!(begin_shard(folder.path(), recipe(1), false, Some(0)), Err(StageError::Busy(_))));
    }

    #[test]
    fn shards_work_side_by_side_but_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let shard = |number| begin_shard(folder.path(), recipe(1), false, Some(number));
        let works = [shard(0).unwrap(), shard(1).unwrap()];
        assert!(matches!(shard(1), Err(StageError::Busy(_))));
        assert!(matches!(begin(folder.path(), recipe(1), false), Err(StageError::Busy(_))));
        drop(works);
        assert!(matches!(begin(folder.path(), recipe(1), false), Ok(Begin::Work(_))));
    }
}
