//! Why a file is refused: each message names the place and what to do about it, and repeats little of the file.

use std::fmt;
use std::path::{Path, PathBuf};

/// Letters of what a file says that a message repeats.
const REPEATED: usize = 160;

/// A line of a text file or an entry of a JSON file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file as it was named.
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
    /// A line of `file`, counted from 1.
    pub fn new(file: &Path, line: u64) -> Self {
        Location { file: file.to_owned(), place: Place::Line(line) }
    }

    /// An entry of a list in the JSON of `file`.
    pub fn entry(file: &Path, list: &'static str, index: usize) -> Self {
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

/// A file that cannot be read as what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file system said no.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Bytes that are no text.
    #[error("{at}: not UTF-8; convert the file, for example with `iconv -f LATIN1 -t UTF-8`")]
    Encoding {
        /// The first bad line.
        at: Location,
    },
    /// A file of another kind altogether.
    #[error("{file}: {kind}, not text; {advice}")]
    NotText {
        /// The file.
        file: PathBuf,
        /// What it is, as in "an Excel workbook".
        kind: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// A header that lacks a column or leaves open which one is meant.
    #[error("{file}: {problem}; the first line must name the columns image,caption or image,caption,split")]
    Columns {
        /// The table.
        file: PathBuf,
        /// What is wrong with the header.
        problem: String,
    },
    /// A line of another form than the first, which was `photo.jpg#0` and a caption.
    #[error("{at}: expected `image.jpg#0`, a tab and the caption")]
    Numbered {
        /// The line at fault.
        at: Location,
    },
    /// A quoted field that does not end properly.
    #[error("{at}: broken quoting: {problem}; close the field with a quote and double the quotes inside it")]
    Quoting {
        /// Where the field opens.
        at: Location,
        /// How the field breaks the rules of RFC 4180.
        problem: &'static str,
    },
    /// The CSV parser's own complaint.
    #[error("cannot parse {file}: {source}")]
    Csv {
        /// The table.
        file: PathBuf,
        /// The parser's reason, with the position.
        source: csv::Error,
    },
    /// A row of JSON that is not the object it should be.
    #[error(
        "{at}: {problem}; each row is an object with `image`, `caption` or `captions`, and perhaps `split`"
    )]
    Row {
        /// The line, or the entry of the list.
        at: Location,
        /// What is wrong with it.
        problem: String,
    },
    /// A JSON file of another shape.
    #[error("{file}: {field}{problem}; expected {shape}")]
    Json {
        /// The file.
        file: PathBuf,
        /// The field and a colon, as in `images[3].split: `; nothing where it is the whole file.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// The shape that it should have.
        shape: &'static str,
    },
}

/// The start of a text that is too long for a message.
pub fn clip(text: &str) -> String {
    match text.char_indices().nth(REPEATED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
