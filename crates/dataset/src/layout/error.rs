//! Why a raw dataset is refused: each message names the place and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use artifacts::Split;

/// A line of a text file or an entry of a JSON file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Below the dataset's root, or the root itself.
    pub file: PathBuf,
    /// The line or the entry at fault.
    pub place: Place,
}

/// Lines for editors, entries for those who read JSON by program.
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
        /// The operating system's reason.
        source: std::io::Error,
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
    /// The table is neither CSV nor JSON lines.
    #[error("{file}: cannot tell its format; name it .csv or .jsonl")]
    UnknownFormat {
        /// Path of the file that `root` names.
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
        /// Path of the table.
        file: PathBuf,
        /// The columns to have.
        wanted: String,
        /// The header as it is, separated by commas.
        found: String,
    },
    /// A quoted CSV field that does not end properly.
    #[error("{at}: broken quoting: {problem}; close the field with a quote and double the quotes inside it")]
    Quoting {
        /// Where the field opens.
        at: Location,
        /// How the field breaks the rules of RFC 4180.
        problem: &'static str,
    },
    /// A CSV row that does not fit its header.
    #[error("{at}: {found} fields under {wanted} columns; put captions that hold commas in double quotes")]
    Fields {
        /// The line on which the row starts.
        at: Location,
        /// Fields in the row.
        found: usize,
        /// Columns in the header.
        wanted: usize,
    },
    /// The CSV parser's own complaint.
    #[error("cannot parse {file}: {source}")]
    Csv {
        /// Path of the table.
        file: PathBuf,
        /// The parser's reason, with the position.
        source: csv::Error,
    },
    /// A line that is not the JSON object it should be.
    #[error(
        "{at}: {source}; each line is an object with `image`, `caption` or `captions`, and perhaps `split`"
    )]
    Json {
        /// The line at fault.
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
        /// The later of the two.
        at: Location,
        /// The id or the file, as the message names it.
        what: String,
        /// The earlier of the two.
        first_at: Location,
    },
    /// A caption of an image that is not listed.
    #[error("{at}: no entry of `images` has the id {id}; add the image or remove the caption")]
    UnknownImage {
        /// The entry of `annotations`.
        at: Location,
        /// The image's id as written.
        id: u64,
    },
    /// Two images with one file of captions between them.
    #[error("{first} and {second} share one .txt file of captions; keep one of the images", first = first.display(), second = second.display())]
    SharedCaptions {
        /// One image, below the root.
        first: PathBuf,
        /// The other one, below the root.
        second: PathBuf,
    },
    /// A JSON line with both `caption` and `captions`, or neither.
    #[error("{at}: give either `caption`, a sentence, or `captions`, a list of sentences")]
    CaptionKeys {
        /// The line at fault.
        at: Location,
    },
    /// A line of `Flickr8k.token.txt` in another form.
    #[error("{at}: expected `image.jpg#0`, a tab and the caption")]
    TokenLine {
        /// The line at fault.
        at: Location,
    },
    /// A row without an image.
    #[error("{at}: the image's file name is empty; name the file or remove the row")]
    NoImage {
        /// The line on which the row starts.
        at: Location,
    },
    /// A path that is absolute or climbs out of the dataset.
    #[error("{at}: image path `{image}` leaves the dataset's folder; paths must stay below it")]
    OutsideRoot {
        /// The line on which the row starts.
        at: Location,
        /// The path as written.
        image: String,
    },
    /// A split that does not exist.
    #[error("{at}: unknown split `{name}`; use {known}")]
    UnknownSplit {
        /// The line on which the row starts.
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
