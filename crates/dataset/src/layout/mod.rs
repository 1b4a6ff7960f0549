//! Raw datasets as people have them on disk, one file per layout.
//!
//! Every layout ends in the same [`RawDataset`] under the same rules: what cannot be used is left out and counted in
//! [`RawDataset::skipped`]; what contradicts itself is refused with the file and line that does.
//!
//! Invariant: in a `RawDataset` every image exists, has an id of its own and at least one caption; either all images
//! have a split or none has.

mod beside;
pub mod coco;
mod collect;
mod error;
mod files;
mod finder;
pub mod flickr8k;
pub mod folder;
pub mod karpathy;
mod parquet_table;
mod places;
pub mod split;
pub(crate) mod split_name;
pub mod table;
#[cfg(test)]
mod tests;
mod unique;

use std::path::{Path, PathBuf};

use artifacts::Split;

pub use error::LayoutError;

/// What a layout holds, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct RawDataset {
    /// The folder that image paths start from.
    pub root: PathBuf,
    /// In the order in which the dataset first names them.
    pub images: Vec<RawImage>,
    /// In file order; a sentence that the dataset repeats is repeated here.
    pub captions: Vec<RawCaption>,
    /// What was left out, and why.
    pub skipped: Vec<Skip>,
    /// What was read otherwise than it may seem: said, and counted as no fault.
    pub notes: Vec<Note>,
    /// The text files that were read.
    pub sources: Vec<PathBuf>,
}

/// An image that exists and is captioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawImage {
    /// The file name without its extension or, where two images share that, the path below the root.
    pub image_id: String,
    /// Below [`RawDataset::root`], without `.` and `..`.
    pub path: PathBuf,
    /// Where the dataset puts it; `None` for all images of a dataset without splits.
    pub split: Option<Split>,
}

/// One reference caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawCaption {
    /// The [`RawImage`] it describes.
    pub image_id: String,
    /// The sentence, white space around it trimmed, never empty.
    pub caption: String,
}

/// Something that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// A file's path below the root, or the file of captions and its line or entry.
    pub what: String,
    /// Why, in words for the user.
    pub reason: String,
    /// Whether it is a caption or a row of one, rather than a whole image.
    pub is_row: bool,
}

/// Something that is worth a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// A file, or a name as it was written.
    pub what: String,
    /// What there is to say of it.
    pub reason: String,
}

/// The folder that a file lies in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
