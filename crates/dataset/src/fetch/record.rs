//! What was fetched, kept beside it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::FetchError;
use super::error::io;

/// Hidden, so that no layout takes it for captions.
const FILE: &str = ".fetched.json";

/// The files of a set by their names.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Record {
    files: BTreeMap<String, Fetched>,
}

/// A file that was checked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fetched {
    /// Where it came from; nothing of one that was put there by hand.
    pub(super) url: Option<String>,
    pub(super) bytes: u64,
    /// In hexadecimal digits.
    pub(super) sha256: String,
}

impl Record {
    /// Of the set in `root`; empty where there is none, or one that cannot be understood: then files are checked again.
    pub(super) fn read(root: &Path) -> Result<Record, FetchError> {
        let path = root.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Record::default()),
            Err(error) => Err(io(path)(error)),
        }
    }

    pub(super) fn of(&self, name: &str) -> Option<&Fetched> {
        self.files.get(name)
    }

    /// Adds a file, on disk too.
    pub(super) fn add(&mut self, root: &Path, name: &str, fetched: Fetched) -> Result<(), FetchError> {
        self.files.insert(name.to_owned(), fetched);
        let path = root.join(FILE);
        artifacts::atomic::write_json(&path, self).map_err(io(path))
    }
}
