//! One run of curl.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::marker::Marker;
use crate::{DownloadError, Request, last_words, length};

/// How a run of curl ends that is no error.
pub(crate) enum End {
    /// All bytes are there.
    Complete,
    /// The server does not go on where the file ends: it knows no ranges, or has another file now.
    NotContinued,
}

/// curl's codes of failures that another try may not meet: names and connections (5 to 7, 16, 35, 52, 55, 56, 92, 95, 96), an
/// answer that ends too soon (18) or stands still (28).
const MAY_PASS: [i32; 13] = [5, 6, 7, 16, 18, 28, 35, 52, 55, 56, 92, 95, 96];
const HTTP_ERROR: i32 = 22;
/// The server, or the file system, does not go on from the place asked for.
const NO_RANGE: [i32; 2] = [33, 36];
const TOO_LONG: i32 = 63;
const RANGE_BEHIND_THE_END: u16 = 416;

/// Lets curl fetch what `part` lacks.
pub(crate) fn go_on(
    request: &Request<'_>,
    part: &Path,
    marker: &Marker,
    watch: &mut dyn FnMut(u64),
) -> Result<End, DownloadError> {
    let start = length(part)?;
    let kept = marker.kept();
    match request.at_most {
        Some(at_most) if start == at_most => return Ok(End::Complete),
        Some(at_most) if start > at_most => return Ok(End::NotContinued),
        _ if start > 0 && request.unchecked && kept.is_none() => return Ok(End::NotContinued),
        _ => {}
    }
    let io = |source| DownloadError::Io { path: part.into(), source };
    let mut file = File::options().create(true).append(true).open(part).map_err(io)?;
    let mut curl = command(request, start, marker, kept).spawn().map_err(DownloadError::NoCurl)?;
    let copied = copy(&mut curl, &mut file, part, request.at_most, |bytes| {
        if bytes == start && start == 0 && request.unchecked {
            marker.keep();
        }
        watch(bytes);
    });
    if copied.is_err() {
        // It may have ended by itself.
        let _ = curl.kill();
    }
    let output = curl.wait_with_output().map_err(DownloadError::NoCurl)?;
    copied?;
    let (said, status) = said(&output.stderr);
    match output.status.code() {
        // Older versions of curl count it as an error, newer ones do not.
        Some(0 | HTTP_ERROR) if status == RANGE_BEHIND_THE_END && start > 0 => {
            let whole = marker.whole_length() == Some(start);
            Ok(if whole { End::Complete } else { End::NotContinued })
        }
        Some(0) => Ok(End::Complete),
        Some(code) if NO_RANGE.contains(&code) && start > 0 => Ok(End::NotContinued),
        Some(HTTP_ERROR) if status >= 400 => Err(DownloadError::Refused { status }),
        Some(TOO_LONG) => Err(DownloadError::TooLong { at_most: request.at_most.unwrap_or(u64::MAX) }),
        code => {
            let may_pass = code.is_some_and(|code| MAY_PASS.contains(&code));
            Err(DownloadError::Failed { reason: said, may_pass })
        }
    }
}

fn command(request: &Request<'_>, start: u64, marker: &Marker, kept: Option<String>) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--location", "--silent", "--show-error", "--globoff"]);
    // What it keeps for a larger piece would be lost with it.
    curl.arg("--no-buffer");
    // A server that says nothing for a minute is left, and asked again.
    curl.args(["--connect-timeout", "30", "--speed-limit", "1", "--speed-time", "60"]);
    curl.args(["--write-out", "%{stderr}\n%{http_code}"]).arg("--dump-header").arg(marker.headers());
    if let Some(at_most) = request.at_most {
        curl.args(["--max-filesize", &at_most.to_string()]);
    }
    if start > 0 {
        curl.args(["--continue-at", &start.to_string()]);
        if let Some(kept) = kept {
            curl.args(["--header", &format!("If-Range: {kept}")]);
        }
    }
    curl.args(["--url", request.url]);
    curl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    curl
}

/// From curl's pipe to the end of the file; `watch` is told before the first piece and after each.
fn copy(
    curl: &mut Child,
    file: &mut File,
    part: &Path,
    at_most: Option<u64>,
    mut watch: impl FnMut(u64),
) -> Result<(), DownloadError> {
    let io = |source| DownloadError::Io { path: part.into(), source };
    let Some(pipe) = &mut curl.stdout else { return Ok(()) };
    let mut bytes = file.metadata().map_err(io)?.len();
    let mut block = vec![0; 1 << 16];
    let mut first = true;
    loop {
        let read = pipe.read(&mut block).map_err(io)?;
        if read == 0 {
            return Ok(());
        }
        if std::mem::take(&mut first) {
            watch(bytes);
        }
        bytes += read as u64;
        if let Some(at_most) = at_most.filter(|at_most| bytes > *at_most) {
            return Err(DownloadError::TooLong { at_most });
        }
        file.write_all(&block[..read]).map_err(io)?;
        watch(bytes);
    }
}

/// What curl said, and the status that stands in the last line by [`command`]'s wish; 0 of no answer.
fn said(stderr: &[u8]) -> (String, u16) {
    let end = stderr.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
    let (said, status) = stderr.split_at(end);
    let status = String::from_utf8_lossy(status).trim().parse().unwrap_or(0);
    (last_words(said), status)
}
