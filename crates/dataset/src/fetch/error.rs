//! Why a set is not there: each message names the file and what to do about it.

use std::path::PathBuf;

use download::DownloadError;

use super::describe::size;
use super::{ALL, Digest};

/// A set that cannot be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Not one of the sets.
    #[error("no set is called {name}: there are {}", ALL.map(|set| set.name).join(", "))]
    Unknown {
        /// As it was asked for.
        name: String,
    },
    /// The disk would not hold it.
    #[error(
        "{} has {} free, and {} are needed, unpacked files and their archives together: make room, or name another folder with --into",
        folder.display(), size(*free), size(*needed)
    )]
    NoRoom {
        /// The set's folder.
        folder: PathBuf,
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// The download did not end well. What came stays.
    #[error(
        "cannot fetch {file} from {url}: {source}. Run it again, which goes on with what has come; or put the file at {}, or name \
         a mirror with --from",
        path.display()
    )]
    Download {
        /// Its name.
        file: &'static str,
        /// Where it was asked for.
        url: String,
        /// Where it belongs.
        path: PathBuf,
        /// What went wrong.
        source: DownloadError,
    },
    /// What was fetched is not what was published, and is gone.
    #[error(
        "{url} is not the {file} that was published ({reason}), and nothing of it was kept: something on the way answered in its place, \
         or its publishers changed it; fetch it elsewhere and put it at {}, or name a mirror with --from",
        path.display()
    )]
    OtherThanPublished {
        /// Its name.
        file: &'static str,
        /// Where it was fetched.
        url: String,
        /// Where it belongs.
        path: PathBuf,
        /// Length or hash, and what it should be.
        reason: String,
    },
    /// A file that lay there under the name, and is another.
    #[error("{} is not the file that was published ({reason}): move it away, so that it can be fetched", path.display())]
    OtherFile {
        /// The file, which is left as it is.
        path: PathBuf,
        /// Length or hash, and what it should be.
        reason: String,
    },
    /// An archive that cannot be read.
    #[error("{} cannot be unpacked ({reason}): delete it, so that it is fetched again", archive.display())]
    Damaged {
        /// The archive.
        archive: PathBuf,
        /// In the reader's words, with the member.
        reason: String,
    },
    /// An archive that holds less than it should.
    #[error(
        "{} holds {found} files of {member}, and {wanted} at least belong there: it was cut short; delete it, so that it is fetched again",
        archive.display()
    )]
    TooFew {
        /// The archive.
        archive: PathBuf,
        /// What was looked for in it.
        member: &'static str,
        /// Number of files found.
        found: usize,
        /// How many should be there at least.
        wanted: usize,
    },
    /// A folder that somebody unpacked, and not to the end.
    #[error(
        "{} holds {found} files, and {wanted} at least belong there: it was not unpacked to the end; move it away, so that it is fetched",
        path.display()
    )]
    Half {
        /// The folder, which is left as it is.
        path: PathBuf,
        /// Number of files found.
        found: usize,
        /// How many should be there at least.
        wanted: usize,
    },
    /// A member that would be written elsewhere.
    #[error("{}: its member `{member}` {what}; nothing of the archive was kept, do not use it", archive.display())]
    Climbs {
        /// The archive.
        archive: PathBuf,
        /// As it is called there.
        member: String,
        /// Why it is refused.
        what: &'static str,
    },
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

/// The same error with its path.
pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> FetchError {
    let path = path.into();
    move |source| FetchError::Io { path, source }
}

/// What a file has, where something else was published.
pub(super) fn other_hash(found: &str, published: Digest) -> String {
    format!("its hash is {found}, not {published}")
}
