//! Why a download ended without its file.

use std::path::PathBuf;

/// A download that did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// There is no curl, or it cannot be started.
    #[error("curl cannot be started ({0}): install it")]
    NoCurl(std::io::Error),
    /// The server answers that it will not, or cannot.
    #[error("the server answers {status}{}", meaning(*.status))]
    Refused {
        /// Of HTTP.
        status: u16,
    },
    /// The file is longer than it should be.
    #[error("more than {at_most} bytes come: it is another file")]
    TooLong {
        /// The length that it should have.
        at_most: u64,
    },
    /// Anything else that curl says.
    #[error("curl failed: {reason}")]
    Failed {
        /// In curl's words.
        reason: String,
        /// Whether another try may help: a connection that broke, rather than an address that is none.
        may_pass: bool,
    },
    /// The disk.
    #[error("cannot write {path}: {source}", path = path.display())]
    Io {
        /// The unfinished file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

impl DownloadError {
    /// Whether the same request may be answered later.
    pub fn may_pass(&self) -> bool {
        match self {
            DownloadError::Refused { status } => matches!(status, 408 | 425 | 429 | 500..),
            DownloadError::Failed { may_pass, .. } => *may_pass,
            DownloadError::NoCurl(_) | DownloadError::TooLong { .. } | DownloadError::Io { .. } => false,
        }
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        401 | 403 => ", that it may not be fetched",
        404 | 410 => ", that it is not there",
        429 => ", that it was asked too often",
        500.. => ", that something is wrong with it",
        _ => "",
    }
}
