//! What a folder holds: photos and videos by their content, whatever they are called, and a count of everything else.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use caption::video::is_video;
use imaging::{Content, FileError, is_of_system};
use rayon::prelude::*;
use walkdir::WalkDir;

use super::input::Input;

/// Names that promise a photo: such a file that holds something else is reported, and not merely counted.
const PHOTOS: [&str; 14] = [
    "avif", "bmp", "gif", "heic", "heif", "jfif", "jpe", "jpeg", "jpg", "pjpeg", "png", "tif", "tiff", "webp",
];

/// Files of folders that are no photos or videos, by what they are.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(BTreeMap<String, usize>);

impl LeftOut {
    /// Counts one more; `kind` has its article.
    pub(crate) fn add(&mut self, kind: &str) {
        let noun = kind.strip_prefix("a ").or_else(|| kind.strip_prefix("an ")).unwrap_or(kind);
        *self.0.entry(noun.to_owned()).or_default() += 1;
    }

    pub(crate) fn count(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (noun, count)) in self.0.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            let plural = if *count > 1 { "s" } else { "" };
            write!(out, "{comma}{count} {noun}{plural}")?;
        }
        Ok(())
    }
}

/// One entry of a folder.
pub(crate) enum Entry {
    Input(Input),
    /// What it is instead, with its article.
    Other(String),
    Failed(PathBuf, String),
}

/// The entries of a folder in the order of their names; those of systems and sidecars are passed over.
pub(crate) fn entries(folder: &Path, recursive: bool) -> Vec<Entry> {
    let depth = if recursive { usize::MAX } else { 1 };
    let walk = WalkDir::new(folder).min_depth(1).max_depth(depth).follow_links(true).sort_by_file_name();
    let mut found = Vec::new();
    let mut walk = walk.into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                found.push(Err(Entry::Failed(path, reason(&error))));
                continue;
            }
        };
        let (name, is_folder) = (entry.file_name(), entry.file_type().is_dir());
        let (of_system, hidden) = (is_of_system(name), name.as_encoded_bytes().starts_with(b"."));
        if is_folder && (of_system || hidden) {
            walk.skip_current_dir();
        }
        match (of_system, hidden, is_folder) {
            (true, ..) | (false, false, true) => {}
            (false, true, true) if !recursive => {}
            (false, true, true) => found.push(Err(Entry::Other("a hidden folder".to_owned()))),
            (false, true, false) => found.push(Err(Entry::Other("a hidden file".to_owned()))),
            (false, false, false) => found.push(Ok(entry.into_path())),
        }
    }
    // Only the first bytes of each are read, but a folder may hold a hundred thousand.
    found.into_par_iter().filter_map(|found| found.map_or_else(Some, known)).collect()
}

fn reason(error: &walkdir::Error) -> String {
    match error.io_error() {
        Some(io) => io.to_string(),
        None => error.to_string(),
    }
}

/// A file of a folder by its content, and by its name where that promises more. A sidecar goes without saying: each photo may
/// have one.
fn known(path: PathBuf) -> Option<Entry> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let extension = extension.as_deref().unwrap_or_default();
    Some(match imaging::content(&path) {
        Ok(Content::Other(_)) if extension == "xmp" => return None,
        Ok(Content::Other(kind)) if !is_video(&path) && !PHOTOS.contains(&extension) => Entry::Other(kind),
        Err(FileError::Kind(kind)) => Entry::Other(kind.to_owned()),
        content => Entry::Input(Input::of(path, content.ok())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_by_its_kind() {
        let mut left_out = LeftOut::default();
        for kind in ["a text", "an HTML file", "a text", "a ZIP archive"] {
            left_out.add(kind);
        }
        assert_eq!(
            (left_out.count(), left_out.to_string().as_str()),
            (4, "1 HTML file, 1 ZIP archive, 2 texts")
        );
    }
}
