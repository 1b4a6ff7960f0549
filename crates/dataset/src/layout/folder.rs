//! A folder of images, each with its captions in a text file beside it.
//!
//! ```text
//! root/
//!   beach.jpg   beach.txt       one caption per line
//!   2024/cat.png   2024/cat.txt
//! ```
//!
//! Folders inside are read too; names that begin with a dot are not. Where the root has folders `train` and `val`, they
//! and `test` are the splits, and an image outside them is left out; otherwise no image has a split.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use artifacts::Split;
use walkdir::{DirEntry, WalkDir};

use super::collect::{Collector, is_image};
use super::{LayoutError, Location, RawDataset, text};

/// Reads the images below `root`, in the order of their paths.
///
/// # Errors
/// A folder or text file that cannot be read, text that is not UTF-8, and two images with one text file.
pub fn read(root: &Path) -> Result<RawDataset, LayoutError> {
    let mut collector = Collector::new(root)?;
    let splits_given = ["train", "val"].iter().all(|split| root.join(split).is_dir());
    if splits_given {
        collector.expect_splits();
    }
    let (images, mut texts) = list(root)?;
    let mut image_of_text = HashMap::new();
    for image in images {
        let index = collector.found(image.clone());
        if let Some(split) = split_of(&image).filter(|_| splits_given) {
            collector.split(&Location::new(&root.join(&image), 1), index, split)?;
        }
        let stem = image.with_extension("");
        if let Some(first) = image_of_text.get(&stem).cloned() {
            return Err(LayoutError::SharedCaptions { first, second: image });
        }
        if let Some(captions) = texts.remove(&stem) {
            let file = root.join(captions);
            for (line, caption) in text::lines(&text::read(&file)?) {
                collector.caption(&Location::new(&file, line), index, caption);
            }
            collector.source(&file);
            image_of_text.insert(stem, image);
        }
    }
    for captions in texts.into_values() {
        collector.skip(captions.display().to_string(), "no image of that name beside it");
    }
    collector.finish()
}

/// The images below the root, in order, and the text files by their paths without the extension.
fn list(root: &Path) -> Result<(Vec<PathBuf>, BTreeMap<PathBuf, PathBuf>), LayoutError> {
    let (mut images, mut texts) = (Vec::new(), BTreeMap::new());
    let visible =
        |entry: &DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
    let entries = WalkDir::new(root).follow_links(true).sort_by_file_name();
    for entry in entries.into_iter().filter_entry(visible) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            LayoutError::Io { path, source: error.into() }
        })?;
        let Ok(path) = entry.path().strip_prefix(root) else { continue };
        if !entry.file_type().is_file() {
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "txt") {
            texts.insert(path.with_extension(""), path.to_owned());
        } else if is_image(path) {
            images.push(path.to_owned());
        }
    }
    Ok((images, texts))
}

/// The split whose folder an image lies in.
fn split_of(image: &Path) -> Option<Split> {
    let top = image.parent()?.components().next()?;
    [Split::Train, Split::Val, Split::Test].into_iter().find(|split| top.as_os_str() == split.as_str())
}
