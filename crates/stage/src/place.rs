//! The place of an artifact on disk: the lock beside it, the folder in which it is made, and the one step that commits it.
//!
//! An artifact of several files is made in `<name>.unfinished` and exchanged with `<name>` when it is whole, so there is no
//! moment in which half of the old and half of the new lie under the name, whatever fails.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use artifacts::layout::{self, unfinished};
use artifacts::{Manifest, atomic, manifest};
use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

/// What a stage keeps to go on after a kill, in the folder in which it works; of no use when the artifact is whole.
pub(crate) const SCRATCH: &str = "state";

/// How an artifact comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// From nothing: what a killed run left is removed.
    Anew,
    /// By going on with what a killed run left, if the stage finds it fit.
    Resumed,
    /// In its own folder, by files whose names no other content has, so that the manifest alone is replaced. Several
    /// processes may do it, each with a number.
    InPlace(Option<usize>),
}

/// The lock of an artifact. It lies beside the folder, which may be exchanged.
pub(crate) struct Lock {
    _files: Vec<File>,
}

/// Why there is no lock.
pub(crate) enum Locked {
    ByAnother,
    Failed(PathBuf, Error),
}

impl Lock {
    /// Keeps other processes away from `folder`; those that share the work hold the lock together, each by its number.
    pub(crate) fn take(folder: &Path, making: Making) -> std::result::Result<Lock, Locked> {
        let whole = open(folder, ".lock")?;
        let Making::InPlace(Some(number)) = making else {
            claim(&whole, File::try_lock)?;
            if making == Making::InPlace(None) {
                remove_numbered(folder)?;
            }
            return Ok(Lock { _files: vec![whole.1] });
        };
        let _entry = enter(folder)?;
        let own = open(folder, &format!(".lock-{number}"))?;
        claim(&own, File::try_lock)?;
        // Whoever is alone there tidies before it lets others in.
        if whole.1.try_lock().is_ok() {
            let _ = atomic::sweep(folder);
        }
        claim(&whole, File::try_lock_shared)?;
        Ok(Lock { _files: vec![own.1, whole.1] })
    }

    /// Keeps all others away for a moment in which something finished is tidied.
    pub(crate) fn alone(folder: &Path, making: Making) -> std::result::Result<Lock, Locked> {
        let mut files = Vec::new();
        if matches!(making, Making::InPlace(_)) {
            files.push(enter(folder)?);
        }
        let whole = open(folder, ".lock")?;
        claim(&whole, File::try_lock)?;
        files.push(whole.1);
        Ok(Lock { _files: files })
    }
}

/// Lets those that share the work in one after the other: one that tidies is alone for a moment, which must not look to the next
/// like a process that does all the work.
fn enter(folder: &Path) -> std::result::Result<File, Locked> {
    let (path, file) = open(folder, ".lock-entry")?;
    file.lock().map_err(|error| Locked::Failed(path, error))?;
    Ok(file)
}

/// Removes the locks of numbers, which may be thousands. For whoever holds the whole: nobody has a number then, or comes by one
/// meanwhile.
fn remove_numbered(folder: &Path) -> std::result::Result<(), Locked> {
    let _entry = enter(folder)?;
    let begin = format!(".{}.lock-", folder.file_name().unwrap_or_default().to_string_lossy());
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error| Locked::Failed(parent.to_owned(), error);
    for entry in std::fs::read_dir(parent).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let number = entry.file_name().to_string_lossy().strip_prefix(&begin).map(str::parse::<usize>);
        if let Some(Ok(_)) = number {
            std::fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn open(folder: &Path, end: &str) -> std::result::Result<(PathBuf, File), Locked> {
    let mut name = OsString::from(".");
    name.push(folder.file_name().unwrap_or_default());
    name.push(end);
    let path = folder.with_file_name(name);
    let failed = |error| Locked::Failed(path.clone(), error);
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    Ok((path, file))
}

fn claim(
    (path, file): &(PathBuf, File),
    how: fn(&File) -> std::result::Result<(), TryLockError>,
) -> std::result::Result<(), Locked> {
    how(file).map_err(|error| match error {
        TryLockError::WouldBlock => Locked::ByAnother,
        TryLockError::Error(error) => Locked::Failed(path.clone(), error),
    })
}

/// The folder to work in, without the litter of killed runs.
pub(crate) fn prepare(folder: &Path, making: Making, fresh: bool) -> Result<PathBuf> {
    let Making::InPlace(shard) = making else {
        let place = unfinished(folder);
        if fresh || making == Making::Anew {
            remove_folder(&place)?;
        }
        let old = set_aside(folder);
        // A kill between the two renames of a commit.
        if old.exists() && !folder.exists() {
            std::fs::rename(&old, folder)?;
        }
        remove_folder(&old)?;
        std::fs::create_dir_all(&place)?;
        atomic::sweep(&place)?;
        return Ok(place);
    };
    std::fs::create_dir_all(folder)?;
    if shard.is_none() {
        atomic::sweep(folder)?;
    }
    Ok(folder.to_owned())
}

/// Puts the finished artifact in `place` under its name. What lay there before goes, and so does what was kept for a
/// resume: an error in that is none of the artifact's, and the next run tidies.
pub(crate) fn commit(place: &Path, folder: &Path) -> Result<()> {
    if place != folder {
        File::open(place)?.sync_all()?;
        exchange(place, folder)?;
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    let _ = tidy(folder);
    Ok(())
}

/// Removes what the commit of `folder` left behind.
pub(crate) fn tidy(folder: &Path) -> Result<()> {
    let (place, old) = (unfinished(folder), set_aside(folder));
    // A training of other settings that was interrupted has no manifest, and may still go on.
    if manifest::is_in(&place) {
        remove_folder(&old)?;
        std::fs::rename(&place, &old)?;
    }
    remove_folder(&old)?;
    remove_folder(&folder.join(SCRATCH))?;
    for part in replaced(folder) {
        // Of processes that end together each does it.
        std::fs::remove_file(part).or_else(|error| match error.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
    }
    Ok(())
}

/// Whether there is something for [`tidy`] to do.
pub(crate) fn is_untidy(folder: &Path) -> bool {
    manifest::is_in(&unfinished(folder))
        || [set_aside(folder), folder.join(SCRATCH)].iter().any(|path| path.exists())
        || !replaced(folder).is_empty()
}

/// Parts in a finished artifact, and in the folders of its tables, that it has replaced: its manifest does not name them and is
/// newer. What is newer than the manifest belongs to a run that is not finished, which goes on with it.
fn replaced(folder: &Path) -> Vec<PathBuf> {
    let written = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let (Ok(manifest), Ok(finished)) = (Manifest::read(folder), written(&manifest::path(folder))) else {
        return Vec::new();
    };
    let named: HashSet<PathBuf> = manifest.outputs.iter().map(|output| folder.join(&output.file)).collect();
    let files = WalkDir::new(folder).max_depth(2).into_iter().flatten().map(DirEntry::into_path);
    let parts =
        files.filter(|path| path.file_name().is_some_and(|name| layout::is_part(&name.to_string_lossy())));
    parts.filter(|path| !named.contains(path) && written(path).is_ok_and(|time| time <= finished)).collect()
}

fn exchange(place: &Path, folder: &Path) -> Result<()> {
    match renameat_with(CWD, place, CWD, folder, RenameFlags::EXCHANGE) {
        Err(Errno::NOENT) => std::fs::rename(place, folder),
        // A file system that cannot exchange two names: for a moment there is none, and `prepare` undoes a kill in it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            let old = set_aside(folder);
            std::fs::rename(folder, &old)?;
            std::fs::rename(place, folder)?;
            remove_folder(&old)
        }
        exchanged => Ok(exchanged?),
    }
}

/// Where an old artifact lies until it is removed.
pub(crate) fn set_aside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".old");
    unfinished(&folder.with_file_name(name))
}

fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Bytes that a user may still write to the disk of `folder`.
///
/// # Errors
/// The system does not say.
pub fn free(folder: &Path) -> Result<u64> {
    let disk = statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
