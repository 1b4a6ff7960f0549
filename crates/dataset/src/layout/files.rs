//! What lies in the folders of a dataset.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use imaging::{Content, is_of_system};
use walkdir::{DirEntry, WalkDir};

use super::LayoutError;

const IMAGE_ENDINGS: [&str; 8] = ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"];
/// Of captions beside an image; the second is that of other trainers.
const CAPTION_ENDINGS: [&str; 2] = ["txt", "caption"];

/// What a file is to a dataset.
pub(super) enum Kind {
    /// An image that can be tried.
    Image,
    /// Captions in plain text.
    Captions,
    /// A picture that is not read, in words: "a HEIC photo".
    Unread(String),
    /// A video, as phones leave one beside each photo.
    Video,
    /// Nothing of a dataset's.
    Other,
}

/// Every file below `folder`, itself below `root`, by its path below the root, in the order of paths. Hidden names and what
/// systems leave are passed over.
pub(super) fn below(root: &Path, folder: &Path) -> impl Iterator<Item = Result<PathBuf, LayoutError>> {
    let visible = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry.file_name());
    let entries = WalkDir::new(root.join(folder)).follow_links(true).sort_by_file_name().into_iter();
    entries.filter_entry(visible).filter_map(move |entry| match entry {
        Ok(entry) if entry.file_type().is_file() => {
            Some(Ok(entry.path().strip_prefix(root).ok()?.to_owned()))
        }
        Ok(_) => None,
        // A link to nothing may be an image's, which is missed where it is opened.
        Err(error) if error.path().is_some_and(Path::is_symlink) && error.loop_ancestor().is_none() => {
            Some(Ok(error.path()?.strip_prefix(root).ok()?.to_owned()))
        }
        // A link to a folder above: what is in it is listed already.
        Err(error) if error.loop_ancestor().is_some() => None,
        Err(error) => {
            let path = error.path().unwrap_or(root).to_owned();
            Some(Err(LayoutError::Io { path, source: error.into() }))
        }
    })
}

/// What `file` is: by its ending where that is plain, else by its content.
pub(super) fn kind(file: &Path) -> Kind {
    if is_image_name(file) {
        return Kind::Image;
    }
    if CAPTION_ENDINGS.contains(&ending(file).as_str()) {
        return Kind::Captions;
    }
    match imaging::content(file) {
        Ok(Content::Image) => Kind::Image,
        Ok(Content::Picture(kind)) => Kind::Unread(kind),
        Ok(Content::Video) => Kind::Video,
        Ok(Content::Other(_)) => Kind::Other,
        Err(error) => Kind::Unread(error.to_string()),
    }
}

/// Whether a file's name says that it is an image.
pub(super) fn is_image_name(file: &Path) -> bool {
    IMAGE_ENDINGS.contains(&ending(file).as_str())
}

/// Hidden, or left there by a system.
fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || is_of_system(name)
}

/// In small letters, without the dot.
pub(super) fn ending(file: &Path) -> String {
    file.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// The folder that holds a dataset: `root`, or the one that `root` holds alone, as archives are unpacked.
pub(super) fn innermost(root: &Path) -> PathBuf {
    let mut innermost = root.to_owned();
    while let Some(inner) = only_folder(&innermost) {
        innermost = inner;
    }
    innermost
}

/// The folder in `folder`, if there is nothing else.
fn only_folder(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut own = entries.filter_map(Result::ok).filter(|entry| !is_hidden(&entry.file_name()));
    let first = own.next().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))?;
    own.next().is_none().then(|| first.path())
}

/// The names of the files in `folder` itself that have one of these endings, in order.
pub(super) fn of_ending(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, LayoutError> {
    let failed = |source| LayoutError::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let path = PathBuf::from(&name);
        if !is_hidden(&name) && endings.contains(&ending(&path).as_str()) && folder.join(&path).is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The folder in `root` with one of these names, letter case aside: the first name that is there.
pub(super) fn folder_named(root: &Path, names: &[&str]) -> Option<PathBuf> {
    let exact = names.iter().map(PathBuf::from).find(|name| root.join(name).is_dir());
    exact.or_else(|| {
        let entries = std::fs::read_dir(root).ok()?;
        let folders: Vec<String> = entries
            .filter_map(|entry| {
                entry.ok().filter(|entry| entry.path().is_dir())?.file_name().into_string().ok()
            })
            .collect();
        let like = |name: &&str| folders.iter().find(|folder| folder.eq_ignore_ascii_case(name));
        names.iter().find_map(like).map(PathBuf::from)
    })
}
