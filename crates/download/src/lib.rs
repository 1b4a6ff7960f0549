//! A file at an address, by curl, which knows people's proxies and certificates: on from where an earlier try ended.
//!
//! curl writes into a pipe and the bytes go from there to the end of a file, so a process that is killed takes its curl with
//! it, and all that is lost is what was in the pipe. What the bytes should be, the caller knows and checks.

mod attempt;
mod error;
mod marker;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use attempt::End;
pub use error::DownloadError;
use marker::Marker;

/// What is to be downloaded, and how hard to try.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where it is.
    pub url: &'a str,
    /// Its bytes, or more than they are; what goes beyond them ends the download, and a file that has them is complete.
    pub at_most: Option<u64>,
    /// Whether nobody can check the content: then an earlier try is gone on with only where the server says that the file is
    /// the same (by its `ETag`, or the time of its last change).
    pub unchecked: bool,
    /// How often it is tried again where a try brought nothing and the reason may pass; before that are rests of 1, 2, 4 … s. A
    /// try that brought bytes is gone on with at once, however often.
    pub retries: u32,
}

impl<'a> Request<'a> {
    /// Of a file of unknown size whose content will be checked, tried again thrice.
    pub fn new(url: &'a str) -> Request<'a> {
        Request { url, at_most: None, unchecked: false, retries: 3 }
    }
}

/// Completes `part`, which may hold what an earlier try left, and tells `watch` after each piece how many bytes it has.
///
/// Where a server does not know ranges, it begins anew.
///
/// # Errors
///
/// The server refuses, sends more than it should, or cannot be reached; curl is not there; the disk takes no more. What has come
/// stays in `part`, except more than it should be.
pub fn complete(request: &Request<'_>, part: &Path, watch: &mut dyn FnMut(u64)) -> Result<(), DownloadError> {
    let marker = Marker::beside(part);
    let (mut furthest, mut in_vain) = (length(part)?, 0);
    loop {
        let end = attempt::go_on(request, part, &marker, watch);
        let reached = length(part)?;
        let error = match end {
            Ok(End::Complete) => return Ok(()),
            // Without an earlier try, the next one asks for no range.
            Ok(End::NotContinued) => {
                discard(part)?;
                continue;
            }
            Err(error) if !error.may_pass() => {
                if matches!(error, DownloadError::TooLong { .. }) {
                    discard(part)?;
                }
                return Err(error);
            }
            Err(error) => error,
        };
        if reached > furthest {
            (furthest, in_vain) = (reached, 0);
            continue;
        }
        in_vain += 1;
        if in_vain > request.retries {
            return Err(error);
        }
        std::thread::sleep(Duration::from_secs(1 << (in_vain - 1).min(6)));
    }
}

/// Gives a complete download, which has been checked, its name.
///
/// # Errors
///
/// The system cannot write it to the disk, or rename it.
pub fn settle(part: &Path, path: &Path) -> Result<(), DownloadError> {
    let synced = File::open(part).and_then(|file| file.sync_all());
    let settled = synced.and_then(|()| fs::rename(part, path));
    settled.map_err(|source| DownloadError::Io { path: path.into(), source })?;
    Marker::beside(part).forget();
    Ok(())
}

/// Removes what a download left that nobody wants.
///
/// # Errors
///
/// The system cannot remove it.
pub fn discard(part: &Path) -> Result<(), DownloadError> {
    Marker::beside(part).forget();
    match fs::remove_file(part) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(DownloadError::Io { path: part.into(), source })
        }
        _ => Ok(()),
    }
}

/// Bytes that an unfinished download has; 0 without one.
///
/// # Errors
///
/// The system does not say.
pub fn length(part: &Path) -> Result<u64, DownloadError> {
    match fs::metadata(part) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(source) => Err(DownloadError::Io { path: part.into(), source }),
    }
}

/// What a program that failed said last on stderr.
pub fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message").to_owned()
}
