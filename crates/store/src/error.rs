//! Why bytes cannot be had.

use std::io;

/// Bytes that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is nothing under the name.
    #[error("{at}: not found")]
    NotFound {
        /// Path or address.
        at: String,
    },
    /// The system refused.
    #[error("{at}: {source}")]
    Io {
        /// Path or address.
        at: String,
        /// The system's word.
        source: io::Error,
    },
    /// An address of no store that is known.
    #[error("{at} is no place that can be read: {reason}")]
    Address {
        /// The address as written.
        at: String,
        /// Why.
        reason: String,
    },
    /// The store knows the caller not, or not well enough.
    #[error("{at}: the store refuses access ({reason}): check the credentials in the environment")]
    Denied {
        /// The address.
        at: String,
        /// What the store said.
        reason: String,
    },
    /// Other bytes lie under the name than when it was opened.
    #[error("{at}: changed while it was read: run again when nobody writes it")]
    Changed {
        /// Path or address.
        at: String,
    },
    /// The bytes end before the wanted range does.
    #[error("{at}: ends after {size} bytes, wanted are those up to {end}")]
    Short {
        /// Path or address.
        at: String,
        /// Bytes that there are.
        size: u64,
        /// Where the wanted range ends.
        end: u64,
    },
    /// More than the caller takes.
    #[error("{at}: has {size} bytes, more than {most}")]
    TooLarge {
        /// Path or address.
        at: String,
        /// Bytes that there are.
        size: u64,
        /// Bytes that were asked for at most.
        most: u64,
    },
    /// A server that gives whole files only.
    #[error(
        "{at}: the server gives no parts of files, by which shards are read: fetch the dataset to this machine first"
    )]
    NoRanges {
        /// The address.
        at: String,
    },
    /// A server that does not say what there is.
    #[error("{at}: the server lists no files ({reason}): name the shards, as in {at}/{{00000..00331}}.tar")]
    NoListing {
        /// The address.
        at: String,
        /// What it said.
        reason: String,
    },
    /// The store failed, again and again where that may help.
    #[error("{at}: the store failed: {reason}; run again later")]
    Failed {
        /// The address.
        at: String,
        /// What it said at last.
        reason: String,
    },
}

impl StoreError {
    /// What the system said of a path.
    pub(crate) fn io(at: impl Into<String>, source: io::Error) -> StoreError {
        let at = at.into();
        match source.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound { at },
            _ => StoreError::Io { at, source },
        }
    }

    /// What a store said of an address.
    pub(crate) fn object(at: impl Into<String>, error: &object_store::Error) -> StoreError {
        use object_store::Error;
        let at = at.into();
        match error {
            Error::NotFound { .. } => StoreError::NotFound { at },
            Error::Precondition { .. } | Error::NotModified { .. } => StoreError::Changed { at },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                StoreError::Denied { at, reason: said(error) }
            }
            _ => match said(error) {
                said if NO_RANGES.iter().any(|words| said.contains(words)) => StoreError::NoRanges { at },
                reason => StoreError::Failed { at, reason },
            },
        }
    }

    /// Whether nothing is there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, StoreError::NotFound { .. })
    }
}

/// What `object_store` says where a range was asked for and all came.
const NO_RANGES: [&str; 2] = ["non-partial response", "Range request not supported"];

/// The innermost cause in one line: those around it repeat the path and the store's name.
pub(crate) fn said(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}
