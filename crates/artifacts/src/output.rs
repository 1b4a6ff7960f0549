//! What a written file is now: its size, its rows, its hash.

use std::path::{Path, PathBuf};

use crate::manifest::Output;
use crate::recipe::digest_file;
use crate::table::{self, TableError};

/// An output that cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableOutput {
    /// It is not there.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of what cannot be read.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// It should be a table, and is none.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Output {
    /// What `file` in an artifact folder is now; reads all of it.
    ///
    /// # Errors
    /// When the file is not there or, being a table, is none.
    pub fn of(folder: &Path, file: &str) -> Result<Output, UnreadableOutput> {
        let path = folder.join(file);
        let io = |source| UnreadableOutput::Io { path: path.clone(), source };
        Ok(Output {
            rows: if file.ends_with(".parquet") { Some(table::row_count(&path)?) } else { None },
            bytes: std::fs::metadata(&path).map_err(io)?.len(),
            hash: digest_file(&path).map_err(io)?,
            file: file.to_owned(),
        })
    }
}
