//! Why an image's bytes cannot be had.

use imaging::FileError;
use store::StoreError;

/// An image whose bytes cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The file system or the store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is there is no image file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Other bytes than those that the dataset stage saw.
    #[error("changed since the dataset stage saw it: run the dataset stage again")]
    Changed,
    /// A Parquet file that cannot be read.
    #[error("{at} cannot be read as Parquet: {reason}")]
    Parquet {
        /// Path or address.
        at: String,
        /// The first fault, in words.
        reason: String,
    },
    /// A Parquet file without a column that holds pictures.
    #[error("{at} has no column of images: {reason}")]
    NoColumn {
        /// Path or address.
        at: String,
        /// Which columns it has, and what one of images looks like.
        reason: String,
    },
    /// A row without bytes.
    #[error("the row holds no bytes")]
    Null,
    /// A row that is not there.
    #[error("{at} has {rows} rows, none of number {row}")]
    NoRow {
        /// Path or address.
        at: String,
        /// Rows that there are.
        rows: u64,
        /// The one that was wanted.
        row: u64,
    },
}
