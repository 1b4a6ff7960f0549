//! Where the bytes of an image lie.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the bytes of an image lie, seen from the root of its dataset: a file, a stretch of an archive, or a row of a Parquet file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Locator {
    /// The file, below the root.
    pub path: String,
    /// Which of its bytes.
    pub within: Within,
}

/// The bytes of a file that are those of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Within {
    /// All of them.
    Whole,
    /// A stretch, as of a member of a tar archive that is not packed.
    Bytes {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// What the image column of a Parquet file holds in this row, counted from 0.
    Row(u64),
}

impl Locator {
    /// A file that is the image.
    pub fn file(path: impl Into<String>) -> Locator {
        Locator { path: path.into(), within: Within::Whole }
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        match self.within {
            Within::Whole => Ok(()),
            Within::Bytes { offset, .. } => write!(f, " at byte {offset}"),
            Within::Row(row) => write!(f, " in row {row}"),
        }
    }
}
