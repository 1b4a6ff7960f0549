//! The guard around a stage's work: is it done already, and if not, why not.
//!
//! A folder with a manifest of the same fingerprint is up to date. Otherwise the artifact is made beside it and takes its
//! place when it is whole; until then, what was finished before stays as it is. A lock keeps a second process out meanwhile.

use std::path::{Path, PathBuf};
use std::time::Instant;

use artifacts::manifest::{Manifest, ManifestError, Output, Warning};
use artifacts::{ModelId, Recipe, UnreadableOutput};
use serde_json::{Map, Value};

use crate::place::{self, Lock, Locked, SCRATCH};

pub use crate::place::Making;

/// Warnings that a manifest lists: enough to find a fault by, few enough to be read whatever the size of a dataset.
const MOST_WARNINGS: usize = 10_000;

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
    /// The disk has no room for what is to come.
    #[error(
        "{} will need at least {} MB and its disk has {} MB left: make room, or name another run.folder",
        folder.display(), needed.div_ceil(1_000_000), free / 1_000_000
    )]
    NoSpace {
        /// The folder of the artifact.
        folder: PathBuf,
        /// Bytes to come.
        needed: u64,
        /// Bytes that are left.
        free: u64,
    },
    /// An output of the stage could not be read back.
    #[error(transparent)]
    Output(#[from] UnreadableOutput),
    /// The manifest could not be written.
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

/// The right to make one artifact, held until [`Work::finish`].
pub struct Work {
    folder: PathBuf,
    /// Where its files are written.
    place: PathBuf,
    recipe: Recipe,
    reason: String,
    model: Option<ModelId>,
    warnings: Vec<Warning>,
    /// Warnings beyond those.
    unlisted: usize,
    started: Instant,
    _lock: Lock,
}

/// Opens `folder` for the work that `recipe` describes; nothing finished is touched.
///
/// # Errors
///
/// The folder cannot be made or locked, or another process holds it; also where another process that shares the work has
/// the same number.
pub fn begin(folder: &Path, recipe: Recipe, force: bool, making: Making) -> Result<Begin, StageError> {
    let io = |path: &Path, source| StageError::Io { path: path.to_owned(), source };
    let (up_to_date, reason) = match Manifest::read(folder) {
        _ if force => (None, "--force".to_owned()),
        Ok(old) => match (recipe.difference(&old.recipe), old.damaged_output(folder)) {
            (Some(difference), _) => (None, difference),
            (None, Some(output)) => (None, format!("{} is missing or was changed", output.file)),
            (None, None) => (Some(old), String::new()),
        },
        Err(ManifestError::Missing(_)) => (None, "not made yet".to_owned()),
        Err(error) => (None, error.to_string()),
    };
    if let Some(manifest) = up_to_date {
        // A run that was killed right after its commit.
        if place::is_untidy(folder) {
            tidy(folder, making)?;
        }
        return Ok(Begin::UpToDate(manifest));
    }
    let lock = Lock::take(folder, making).map_err(|locked| match locked {
        Locked::ByAnother => StageError::Busy(folder.to_owned()),
        Locked::Failed(path, source) => StageError::Io { path, source },
    })?;
    let place = place::prepare(folder, making, force).map_err(|source| io(folder, source))?;
    Ok(Begin::Work(Work {
        folder: folder.to_owned(),
        place,
        recipe,
        reason,
        model: None,
        warnings: Vec::new(),
        unlisted: 0,
        started: Instant::now(),
        _lock: lock,
    }))
}

/// Tidies a finished artifact, unless another process works in its folder.
fn tidy(folder: &Path, making: Making) -> Result<(), StageError> {
    match Lock::alone(folder, making) {
        Ok(_lock) => place::tidy(folder).map_err(|source| StageError::Io { path: folder.to_owned(), source }),
        Err(Locked::ByAnother) => Ok(()),
        Err(Locked::Failed(path, source)) => Err(StageError::Io { path, source }),
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

    /// Where a file of the artifact is written.
    pub fn path(&self, file: &str) -> PathBuf {
        self.place.join(file)
    }

    /// Where the artifact will lie when it is finished, and may lie now in an older form.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the stage keeps what it needs to go on after a kill; it goes when the artifact is finished.
    pub fn scratch(&self) -> PathBuf {
        self.place.join(SCRATCH)
    }

    /// Refuses work for which the disk has no room.
    ///
    /// # Errors
    /// When fewer than `bytes` are left, or the system does not say.
    pub fn needs(&self, bytes: u64) -> Result<(), StageError> {
        let free =
            place::free(&self.place).map_err(|source| StageError::Io { path: self.place.clone(), source })?;
        if free < bytes {
            return Err(StageError::NoSpace { folder: self.folder.clone(), needed: bytes, free });
        }
        Ok(())
    }

    /// Notes that something was skipped or cut. Of many the first are listed, the others counted.
    pub fn warn(&mut self, subject: impl Into<String>, reason: impl Into<String>) {
        if self.warnings.len() < MOST_WARNINGS {
            self.warnings.push(Warning { subject: subject.into(), reason: reason.into() });
        } else {
            self.unlisted += 1;
        }
    }

    /// Notes something that is said before all else.
    pub fn warn_first(&mut self, subject: impl Into<String>, reason: impl Into<String>) {
        self.warnings.insert(0, Warning { subject: subject.into(), reason: reason.into() });
    }

    /// Says which trained decoder the artifact is of.
    pub fn of_model(&mut self, model: ModelId) {
        self.model = Some(model);
    }

    /// Writes the manifest, which declares the artifact complete, and puts it in its place.
    ///
    /// # Errors
    /// When one of `files` is not there, or the disk refuses the manifest. The older artifact is untouched then.
    pub fn finish(
        mut self,
        files: &[impl AsRef<str>],
        summary: Map<String, Value>,
    ) -> Result<Manifest, StageError> {
        let outputs = files.iter().map(|file| Output::of(&self.place, file.as_ref()));
        let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        outputs.sort_by(|a, b| a.file.cmp(&b.file));
        if self.unlisted > 0 {
            let subject = format!("{} more", self.unlisted);
            self.warnings.push(Warning { subject, reason: "counted, not listed".to_owned() });
        }
        let manifest = Manifest {
            fingerprint: self.recipe.fingerprint(),
            recipe: self.recipe.clone(),
            model: self.model.take(),
            outputs,
            warnings: std::mem::take(&mut self.warnings),
            summary,
            seconds: self.started.elapsed().as_secs_f64(),
        };
        manifest.write(&self.place)?;
        place::commit(&self.place, &self.folder)
            .map_err(|source| StageError::Io { path: self.folder.clone(), source })?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use artifacts::captions::CaptionRow;
    use artifacts::table;

    use super::*;

    fn recipe(setting: u32) -> Recipe {
        Recipe::new("text", 1, &serde_json::json!({ "setting": setting })).unwrap()
    }

    fn work(folder: &Path, setting: u32) -> Work {
        match begin(folder, recipe(setting), false, Making::Anew).unwrap() {
            Begin::Work(work) => work,
            Begin::UpToDate(_) => panic!("expected work"),
        }
    }

    fn finished(folder: &Path, setting: u32, content: &str) {
        let work = work(folder, setting);
        std::fs::write(work.path("a.txt"), content).unwrap();
        work.finish(&["a.txt"], Default::default()).unwrap();
    }

    fn content(folder: &Path) -> String {
        std::fs::read_to_string(folder.join("a.txt")).unwrap()
    }

    /// What lies in a folder, locks aside.
    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    #[test]
    fn finished_work_is_up_to_date_until_a_setting_or_an_output_changes() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("text");
        assert_eq!(work(&folder, 1).reason(), "not made yet");
        finished(&folder, 1, "content");
        let again = begin(&folder, recipe(1), false, Making::Anew).unwrap();
        assert!(matches!(again, Begin::UpToDate(_)));
        assert_eq!(work(&folder, 2).reason(), "setting setting: 1 → 2");
        std::fs::write(folder.join("a.txt"), "cut").unwrap();
        assert_eq!(work(&folder, 1).reason(), "a.txt is missing or was changed");
    }

    #[test]
    fn what_is_finished_stays_until_the_new_is_whole() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("text");
        finished(&folder, 1, "old");
        for force in [false, true] {
            let Begin::Work(half) = begin(&folder, recipe(2), force, Making::Anew).unwrap() else { panic!() };
            std::fs::write(half.path("half.txt"), "half").unwrap();
            assert!(half.finish(&["a.txt"], Default::default()).is_err(), "a file is missing");
            assert_eq!(
                (content(&folder).as_str(), Manifest::read(&folder).unwrap().recipe),
                ("old", recipe(1))
            );
        }
        finished(&folder, 2, "new");
        assert_eq!((content(&folder).as_str(), Manifest::read(&folder).unwrap().recipe), ("new", recipe(2)));
        assert_eq!(names(&folder), ["a.txt", "manifest.json"], "nothing of the killed runs stays");
        assert_eq!(names(parent.path()), ["text"]);
    }

    #[test]
    fn what_is_kept_for_a_resume_goes_with_the_commit_and_not_before() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("train");
        let resumed = |force| match begin(&folder, recipe(1), force, Making::Resumed).unwrap() {
            Begin::Work(work) => work,
            Begin::UpToDate(_) => panic!("expected work"),
        };
        let keep = |work: &Work| {
            std::fs::create_dir_all(work.scratch()).unwrap();
            std::fs::write(work.scratch().join("half"), "half").unwrap();
            std::fs::write(work.path(".writing-1"), "litter").unwrap();
        };
        keep(&resumed(false));
        let again = resumed(false);
        assert!(again.scratch().join("half").exists() && !again.path(".writing-1").exists());
        drop(again);
        let fresh = resumed(true);
        assert!(!fresh.scratch().exists(), "--force starts anew");
        keep(&fresh);
        std::fs::write(fresh.path("a.txt"), "whole").unwrap();
        fresh.finish(&["a.txt"], Default::default()).unwrap();
        assert_eq!(
            (names(&folder), names(parent.path())),
            (vec!["a.txt".into(), "manifest.json".into()], vec!["train".into()])
        );
        // A run that was killed right after its commit.
        std::fs::create_dir(folder.join(SCRATCH)).unwrap();
        assert!(matches!(begin(&folder, recipe(1), false, Making::Resumed), Ok(Begin::UpToDate(_))));
        assert_eq!(names(&folder), ["a.txt", "manifest.json"]);
    }

    #[test]
    fn a_kill_between_two_renames_loses_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("text");
        finished(&folder, 1, "old");
        // Where names cannot be exchanged, the old one steps aside first.
        std::fs::rename(&folder, place::set_aside(&folder)).unwrap();
        drop(work(&folder, 2));
        assert_eq!(content(&folder), "old");
        finished(&folder, 2, "new");
        assert_eq!((content(&folder).as_str(), names(parent.path())), ("new", vec!["text".into()]));
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("text");
        let _first = work(&folder, 1);
        for making in [Making::Anew, Making::InPlace(Some(0))] {
            assert!(matches!(begin(&folder, recipe(1), false, making), Err(StageError::Busy(_))));
        }
    }

    #[test]
    fn shards_work_side_by_side_but_each_once() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("features");
        let shard = |number| begin(&folder, recipe(1), false, Making::InPlace(number));
        let works = [shard(Some(0)).unwrap(), shard(Some(1)).unwrap()];
        assert!(matches!(shard(Some(1)), Err(StageError::Busy(_))));
        assert!(matches!(shard(None), Err(StageError::Busy(_))));
        drop(works);
        assert!(matches!(shard(None), Ok(Begin::Work(_))));
    }

    #[test]
    fn shards_that_begin_at_once_do_not_take_each_other_for_a_whole_run() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("features");
        for _ in 0..20 {
            std::thread::scope(|scope| {
                for number in 0..8 {
                    let folder = &folder;
                    scope.spawn(move || {
                        let work = begin(folder, recipe(1), false, Making::InPlace(Some(number)));
                        assert!(matches!(work, Ok(Begin::Work(_))), "shard {number} was kept out");
                    });
                }
            });
        }
        // Whoever does the whole has no use for the locks of numbers.
        let locks = || {
            let names = std::fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().starts_with(".features.lock-")).count()
        };
        assert_eq!(locks(), 8 + 1);
        assert!(matches!(begin(&folder, recipe(1), false, Making::InPlace(None)), Ok(Begin::Work(_))));
        assert_eq!(locks(), 1);
    }

    #[test]
    fn parts_that_a_finished_artifact_replaced_go_with_the_commit_or_the_next_run() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("dataset");
        let (part, replaced, begun) = ("images/part-1.parquet", "images/part-0.parquet", "part-2.parquet");
        let Ok(Begin::Work(work)) = begin(&folder, recipe(1), false, Making::InPlace(None)) else { panic!() };
        std::fs::create_dir(folder.join("images")).unwrap();
        table::write::<CaptionRow>(&folder.join(part), &[], work.recipe(), &[]).unwrap();
        for file in [replaced, "images/notes.parquet"] {
            std::fs::write(folder.join(file), file).unwrap();
        }
        work.finish(&[part], Default::default()).unwrap();
        assert_eq!(names(&folder.join("images")), ["notes.parquet", "part-1.parquet"]);

        // A run that was killed right after its commit, and one of other settings that is not finished.
        let finished = std::fs::metadata(folder.join("manifest.json")).unwrap().modified().unwrap();
        for (file, time) in [(replaced, finished), (begun, finished + Duration::from_secs(1))] {
            std::fs::write(folder.join(file), file).unwrap();
            File::options().write(true).open(folder.join(file)).unwrap().set_modified(time).unwrap();
        }
        for number in [Some(0), None] {
            let again = begin(&folder, recipe(1), false, Making::InPlace(number));
            assert!(matches!(again, Ok(Begin::UpToDate(_))));
            assert_eq!(names(&folder.join("images")), ["notes.parquet", "part-1.parquet"]);
            assert_eq!(names(&folder), ["images", "manifest.json", begun]);
        }
    }

    #[test]
    fn a_disk_without_room_is_refused_before_the_work() {
        let parent = tempfile::tempdir().unwrap();
        let work = work(&parent.path().join("text"), 1);
        work.needs(1).unwrap();
        let message = work.needs(u64::MAX).unwrap_err().to_string();
        assert!(message.contains("text will need at least 18446744073710 MB"), "{message}");
    }
}
