//! Where the image lies that a row names.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use annotations::Location;
use percent_encoding::percent_decode_str;

use super::LayoutError;
use super::finder::{self, Finder, Found, Likeness};

/// What the reason begins with where no file is meant.
pub(super) const NOT_FOUND: &str = "file not found";

/// Looks for the files of names.
pub(super) struct Places {
    root: PathBuf,
    /// The root from the file system's own, where absolute names may start: as it is named, and without links.
    absolute: Vec<PathBuf>,
    finder: Finder,
}

/// Where an image lies, or should.
pub(super) struct Place {
    /// Below the root.
    pub(super) path: PathBuf,
    /// Why there is no file, if so.
    pub(super) problem: Option<String>,
    /// How its name differs from the one that was written, where it had to be searched for.
    pub(super) likeness: Option<Likeness>,
}

impl Places {
    pub(super) fn new(root: &Path) -> Self {
        let absolute = [std::path::absolute(root), root.canonicalize()].into_iter().flatten().collect();
        Places { root: root.to_owned(), absolute, finder: Finder::new(root) }
    }

    /// The place of the image that a row at `at` names, seen from `folder`.
    ///
    /// # Errors
    /// A name that leaves the root, or is an address.
    pub(super) fn of(&self, at: &Location, folder: &Path, name: &str) -> Result<Place, LayoutError> {
        let outside = || LayoutError::OutsideRoot { at: at.clone(), image: name.to_owned() };
        let name_on_disk = name.trim().strip_prefix("file://").unwrap_or(name);
        if name_on_disk.contains("://") {
            return Err(LayoutError::Address { at: at.clone(), image: name.to_owned() });
        }
        let path = Path::new(name_on_disk.trim());
        if path.is_absolute() {
            let inside = self.absolute.iter().find_map(|root| path.strip_prefix(root).ok());
            if let Some(inside) = inside.and_then(below) {
                let search = || self.search(Path::new(""), &inside.to_string_lossy());
                return Ok(self.exactly(&inside).unwrap_or_else(search));
            }
            // Another machine's, unless it is there.
            return if path.exists() { Err(outside()) } else { Ok(self.search(Path::new(""), name_on_disk)) };
        }
        // Blanks at the ends belong to the name where it has a file so.
        for spelling in [Path::new(name_on_disk), path] {
            let below = folder.join(below(spelling).ok_or_else(outside)?);
            if let Some(place) = self.exactly(&below) {
                return Ok(place);
            }
        }
        finder::split(name_on_disk).filter(|parts| !parts.is_empty()).ok_or_else(outside)?;
        Ok(self.search(folder, name_on_disk.trim()))
    }

    /// The place at `path`, unless nothing is there.
    fn exactly(&self, path: &Path) -> Option<Place> {
        let place = |problem| Some(Place { path: path.to_owned(), problem, likeness: None });
        match std::fs::metadata(self.root.join(path)) {
            Ok(metadata) if metadata.is_file() => place(None),
            Ok(metadata) if metadata.is_dir() => place(Some("a folder, not a file".to_owned())),
            Ok(_) => place(Some("not a regular file".to_owned())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            Err(error) => place(Some(format!("cannot be opened: {error}"))),
        }
    }

    /// The file that is meant, also where the name comes out of an address (`%20`).
    fn search(&self, folder: &Path, name: &str) -> Place {
        let mut problem = None;
        let decoded = percent_decode_str(name).decode_utf8().ok().filter(|decoded| decoded != name);
        for spelling in [Some(name), decoded.as_deref()].into_iter().flatten() {
            let parts = finder::split(spelling).unwrap_or_default();
            // The drive of a Windows path.
            let parts = match parts.split_first() {
                Some((first, rest)) if first.len() == 2 && first.ends_with(':') => rest,
                _ => parts.as_slice(),
            };
            match self.finder.find(folder, parts) {
                Found::One(path, likeness) => {
                    return Place { path, problem: None, likeness: Some(likeness) };
                }
                Found::No(reason) => {
                    problem.get_or_insert(format!("{NOT_FOUND}{reason}"));
                }
            }
        }
        let path = below(Path::new(name)).map_or_else(|| PathBuf::from(name), |below| folder.join(below));
        Place { path, problem, likeness: None }
    }
}

/// `path` without `.` and `..`, or `None` where it is absolute or climbs above its start.
fn below(path: &Path) -> Option<PathBuf> {
    let mut below = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => below.push(name),
            Component::CurDir => {}
            Component::ParentDir if below.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (below != Path::new("")).then_some(below)
}
