//! Why a raw dataset is refused: each message names the place and what to do about it.

use std::path::{Path, PathBuf};

use annotations::{Location, ReadError, clip};
use artifacts::Split;

/// A raw dataset that cannot be read or contradicts itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A file of captions that cannot be read as what it should be.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The file system said no.
    #[error("cannot read {path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A table in Parquet that cannot be used.
    #[error("{path} cannot be read as a table of captions: {reason}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The first fault, or what to do.
        reason: String,
    },
    /// A file where the layout has a folder.
    #[error(
        "{root} is a file; this layout's root is a folder: name the one that holds the dataset, or use layout = \"table\" for a table alone"
    )]
    NotAFolder {
        /// The root that was given.
        root: PathBuf,
    },
    /// A part of the layout is not there.
    #[error("{root}: no {what} here; expected one of: {names}")]
    NotFound {
        /// The dataset's folder.
        root: PathBuf,
        /// In words, as in "captions file".
        what: &'static str,
        /// The names it may have, separated by commas.
        names: String,
    },
    /// Several files that could be meant.
    #[error("{root}: which file is meant, {names}? Name it as the root")]
    Several {
        /// The dataset's folder.
        root: PathBuf,
        /// The files found, separated by commas.
        names: String,
    },
    /// An id or a file that a list names twice.
    #[error("{at}: {what} was already named at {first_at}; each may occur once")]
    Duplicate {
        /// The later of the two.
        at: Location,
        /// The id or the file, as the message names it.
        what: String,
        /// The earlier of the two.
        first_at: Location,
    },
    /// Two names for which there is a single file, so that one of them cannot mean it.
    #[error("{at}: image `{first}` and image `{second}` would both be the file {file}; correct one of the names", first = clip(first), second = clip(second), file = file.display())]
    TwoNames {
        /// The later of the two.
        at: Location,
        /// The name that was found there first, as written.
        first: String,
        /// The later name, as written.
        second: String,
        /// The file, below the root.
        file: PathBuf,
    },
    /// An address instead of a file.
    #[error("{at}: image `{image}` is an address; fetch the image and name its file", image = clip(image))]
    Address {
        /// The line or entry.
        at: Location,
        /// The address as written.
        image: String,
    },
    /// Two images with one file of captions between them.
    #[error("{first} and {second} share one .txt file of captions; keep one of the images", first = first.display(), second = second.display())]
    SharedCaptions {
        /// One image, below the root.
        first: PathBuf,
        /// The other one, below the root.
        second: PathBuf,
    },
    /// A row without an image.
    #[error("{at}: the image's file name is empty; name the file or remove the row")]
    NoImage {
        /// The line on which the row starts.
        at: Location,
    },
    /// A path that is absolute or climbs out of the dataset.
    #[error("{at}: image path `{image}` leaves the dataset's folder; paths must stay below it: move the images or the file there", image = clip(image))]
    OutsideRoot {
        /// The line on which the row starts.
        at: Location,
        /// The path as written.
        image: String,
    },
    /// A split that does not exist.
    #[error("{at}: unknown split `{name}`; use train, val or test (or restval, validation, dev)", name = clip(name))]
    UnknownSplit {
        /// The line on which the row starts.
        at: Location,
        /// The split as written.
        name: String,
    },
    /// Some rows name a split and others do not.
    #[error("{at}: earlier rows differ in whether they name a split; give all rows a split or none")]
    SomeSplits {
        /// The first row that differs.
        at: Location,
    },
    /// An image on both sides of the fence.
    #[error("image `{image}` is in {first} ({first_at}) and in {second} ({second_at}); keep one of them")]
    TwoSplits {
        /// Its path below the root.
        image: String,
        /// The split that named it earlier.
        first: Split,
        /// Row or split file of the earlier one.
        first_at: Location,
        /// The split that named it later.
        second: Split,
        /// Row or split file of the later one.
        second_at: Location,
    },
    /// Two files that would get the same id.
    #[error("{first} and {second} both get the image id `{id}`; rename one of the files", first = first.display(), second = second.display())]
    SameId {
        /// A file name without its extension, or a path below the root.
        id: String,
        /// One file, below the root.
        first: PathBuf,
        /// The other one, below the root.
        second: PathBuf,
    },
    /// Nothing is left.
    #[error("{root}: no captioned image to use, {skipped} left out{example}")]
    Empty {
        /// The dataset's folder.
        root: PathBuf,
        /// Number of images and captions left out.
        skipped: usize,
        /// The first of them and its reason, or nothing.
        example: String,
    },
    /// Fractions that leave nothing to train on.
    #[error("val_fraction {val} and test_fraction {test}: both must be at least 0 and their sum below 1")]
    Fractions {
        /// Fraction of the images for validation.
        val: f64,
        /// Fraction of the images for the test.
        test: f64,
    },
}

impl LayoutError {
    /// Several files in `root` that could be meant.
    pub(super) fn several(root: &Path, files: &[PathBuf]) -> LayoutError {
        let names = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        LayoutError::Several { root: root.to_owned(), names }
    }
}
