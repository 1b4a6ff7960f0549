//! Why a raw dataset is refused: each message names the place and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use artifacts::Split;

/// A line of a text file or an entry of a JSON file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub place: Place,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line, counted from 1.
    Line(u64),
    /// An entry of a JSON list: the list's key, the index from 0.
    Entry(&'static str, usize),
}

impl Location {
    pub(super) fn new(file: &Path, line: u64) -> Self {
        Location { file: file.to_owned(), place: Place::Line(line) }
    }

    pub(super) fn entry(file: &Path, list: &'static str, index: usize) -> Self {
        Location { file: file.to_owned(), place: Place::Entry(list, index) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Line(line) => write!(f, "{}:{line}", self.file.display()),
            Place::Entry(list, index) => write!(f, "{}: {list}[{index}]", self.file.display()),
        }
    }
}

/// A raw dataset that cannot be read or contradicts itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The file system said no.
    #[error("cannot read {path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A part of the layout is not there.
    #[error("{root}: no {what} here; expected one of: {names}")]
    NotFound {
        /// The dataset's folder.
        root: PathBuf,
        /// What is missing.
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
    /// The table is neither CSV nor JSON lines.
    #[error("{file}: cannot tell its format; name it .csv or .jsonl")]
    UnknownFormat {
        /// The table.
        file: PathBuf,
    },
    /// Bytes that are no text.
    #[error("{at}: not UTF-8; convert the file, for example with `iconv -f LATIN1 -t UTF-8`")]
    Encoding {
        /// The first bad line.
        at: Location,
    },
    /// A CSV header that lacks a column, repeats one or has one that nothing would read.
    #[error("{file}: the first line must name the columns {wanted}; it has {found}")]
    Columns {
        /// The CSV file.
        file: PathBuf,
        /// The columns to have.
        wanted: String,
        /// The columns found.
        found: String,
    },
    /// A quoted CSV field that does not end properly.
    #[error("{at}: broken quoting: {problem}; close the field with a quote and double the quotes inside it")]
    Quoting {
        /// Where the field opens.
        at: Location,
        /// What is wrong.
        problem: &'static str,
    },
    /// A CSV row that does not fit its header.
    #[error("{at}: {found} fields under {wanted} columns; put captions that hold commas in double quotes")]
    Fields {
        /// The row.
        at: Location,
        /// Fields in the row.
        found: usize,
        /// Columns in the header.
        wanted: usize,
    },
    /// The CSV parser's own complaint.
    #[error("cannot parse {file}: {source}")]
    Csv {
        /// The CSV file.
        file: PathBuf,
        /// What it says.
        source: csv::Error,
    },
    /// A line that is not the JSON object it should be.
    #[error(
        "{at}: {source}; each line is an object with `image`, `caption` or `captions`, and perhaps `split`"
    )]
    Json {
        /// The line.
        at: Location,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A JSON file of another shape.
    #[error("{file}: {field}: {source}; expected {shape}")]
    JsonFile {
        /// The file.
        file: PathBuf,
        /// The field, as in `images[3].split`; `.` is the whole file.
        field: String,
        /// What the parser says.
        source: serde_json::Error,
        /// The shape that it should have.
        shape: &'static str,
    },
    /// An id or a file that a list names twice.
    #[error("{at}: {what} was already named at {first_at}; each may occur once")]
    Duplicate {
        /// The second.
        at: Location,
        /// What is repeated.
        what: String,
        /// The first.
        first_at: Location,
    },
    /// A caption of an image that is not listed.
    #[error("{at}: no entry of `images` has the id {id}; add the image or remove the caption")]
    UnknownImage {
        /// The caption.
        at: Location,
        /// The image's id as written.
        id: u64,
    },
    /// Two images with one file of captions between them.
    #[error("{first} and {second} share one .txt file of captions; keep one of the images", first = first.display(), second = second.display())]
    SharedCaptions {
        /// One image, below the root.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A JSON line with both `caption` and `captions`, or neither.
    #[error("{at}: give either `caption`, a sentence, or `captions`, a list of sentences")]
    CaptionKeys {
        /// The line.
        at: Location,
    },
    /// A line of `Flickr8k.token.txt` in another form.
    #[error("{at}: expected `image.jpg#0`, a tab and the caption")]
    TokenLine {
        /// The line.
        at: Location,
    },
    /// A row without an image.
    #[error("{at}: the image's file name is empty; name the file or remove the row")]
    NoImage {
        /// The row.
        at: Location,
    },
    /// A path that is absolute or climbs out of the dataset.
    #[error("{at}: image path `{image}` leaves the dataset's folder; paths must stay below it")]
    OutsideRoot {
        /// The row.
        at: Location,
        /// The path as written.
        image: String,
    },
    /// A split that does not exist.
    #[error("{at}: unknown split `{name}`; use {known}")]
    UnknownSplit {
        /// The row.
        at: Location,
        /// The split as written.
        name: String,
        /// The splits that there are.
        known: &'static str,
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
        /// The split read first.
        first: Split,
        /// Where.
        first_at: Location,
        /// The split read second.
        second: Split,
        /// Where.
        second_at: Location,
    },
    /// Two files that would get the same id.
    #[error("{first} and {second} both get the image id `{id}`; rename one of the files", first = first.display(), second = second.display())]
    SameId {
        /// The id.
        id: String,
        /// One file, below the root.
        first: PathBuf,
        /// The other.
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
