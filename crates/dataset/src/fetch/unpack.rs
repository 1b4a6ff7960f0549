//! What is wanted of a zip archive, whole or not at all.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;
use zip::ZipArchive;
use zip::read::ZipFile;

use super::error::io as at;
use super::{FetchError, Unpack};

/// Where archives are unpacked until what they hold gets its name.
pub(super) const WORK: &str = ".unpacking";

/// Unpacks `archive` below `root`; `watch` is told the number of members, then of each that is done.
pub(super) fn unpack(
    archive: &Path,
    unpack: &Unpack,
    root: &Path,
    watch: &mut dyn FnMut(Step),
) -> Result<(), FetchError> {
    let work = root.join(WORK);
    clear(&work)?;
    fs::create_dir(&work).map_err(at(&work))?;
    let result = members(archive, unpack, &work, watch).and_then(|whole| {
        // Names may reach the disk before contents do.
        sync(root)?;
        let target = root.join(unpack.to);
        fs::rename(whole, &target).map_err(at(target))
    });
    clear(&work)?;
    result
}

/// How far it is.
pub(super) enum Step {
    Members(usize),
    Done,
}

/// Removes what a killed process was unpacking.
pub(super) fn clear(work: &Path) -> Result<(), FetchError> {
    match fs::remove_dir_all(work) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(work)(error)),
        _ => Ok(()),
    }
}

/// The files below a folder that can be listed, or 1 of a file; 0 where nothing is.
pub(super) fn count(path: &Path) -> usize {
    let entries = WalkDir::new(path).follow_links(true).into_iter();
    entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_file()).count()
}

fn sync(root: &Path) -> Result<(), FetchError> {
    let folder = File::open(root).map_err(at(root))?;
    rustix::fs::syncfs(&folder).map_err(|error| at(root)(error.into()))
}

/// Writes the wanted members below `work`, and gives the file or folder that they make.
fn members(
    archive: &Path,
    unpack: &Unpack,
    work: &Path,
    watch: &mut dyn FnMut(Step),
) -> Result<PathBuf, FetchError> {
    let whole = work.join("whole");
    let damaged = |reason: String| FetchError::Damaged { archive: archive.into(), reason };
    let file = File::open(archive).map_err(at(archive))?;
    let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(|error| damaged(error.to_string()))?;
    watch(Step::Members(zip.len()));
    let mut found = 0;
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).map_err(|error| damaged(format!("member {index}: {error}")))?;
        let name = member.name().map_err(|error| damaged(format!("member {index}: {error}")))?.into_owned();
        let path = inside(archive, &name, &member)?;
        if let Some(below) = path.strip_prefix(unpack.member).ok().filter(|_| !is_of_system(&path)) {
            // Joining nothing would end in a slash.
            let place = if below.as_os_str().is_empty() { whole.clone() } else { whole.join(below) };
            if member.is_dir() {
                fs::create_dir_all(&place).map_err(at(place))?;
            } else {
                write(&mut member, &place, |error| damaged(format!("{name}: {error}")))?;
                found += 1;
            }
        }
        watch(Step::Done);
    }
    if found < unpack.files {
        let member = if unpack.member.is_empty() { "any kind" } else { unpack.member };
        return Err(FetchError::TooFew { archive: archive.into(), member, found, wanted: unpack.files });
    }
    Ok(whole)
}

/// The path of a member below the folder in which it is unpacked.
fn inside<R: io::Read>(archive: &Path, name: &str, member: &ZipFile<'_, R>) -> Result<PathBuf, FetchError> {
    let climbs = |what| FetchError::Climbs { archive: archive.into(), member: name.to_owned(), what };
    if member.is_symlink() {
        return Err(climbs("is a link"));
    }
    let path: PathBuf = Path::new(name).components().filter(|part| *part != Component::CurDir).collect();
    let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
    // Backslashes are paths to those who packed it, and names to this system.
    if !is_below || name.contains('\\') || name.contains('\0') {
        return Err(climbs("does not lie below the archive's folder"));
    }
    Ok(path)
}

/// What Macs add to archives.
fn is_of_system(path: &Path) -> bool {
    path.iter().any(|name| name == "__MACOSX" || imaging::is_of_system(name))
}

fn write(
    member: &mut impl io::Read,
    place: &Path,
    damaged: impl Fn(io::Error) -> FetchError,
) -> Result<(), FetchError> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    let mut file = match File::create_new(place) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(damaged(error)),
        created => created.map_err(at(place))?,
    };
    // A member that is broken and a disk that is full are told apart by who speaks.
    let mut block = vec![0; 1 << 16];
    loop {
        match member.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(length) => io::Write::write_all(&mut file, &block[..length]).map_err(at(place))?,
            Err(error) => return Err(damaged(error)),
        }
    }
}
