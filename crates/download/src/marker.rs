//! What a server said of the file whose beginning lies in an unfinished download: whether it is still the same one.

use std::fs;
use std::path::{Path, PathBuf};

/// The file beside an unfinished download that keeps its `ETag` or time of change, and the one of the last answer's headers.
pub(crate) struct Marker {
    kept: PathBuf,
    headers: PathBuf,
}

impl Marker {
    pub(crate) fn beside(part: &Path) -> Marker {
        let beside = |ending: &str| {
            let mut name = part.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        Marker { kept: beside(".etag"), headers: beside(".headers") }
    }

    /// Where curl writes the headers of its answer.
    pub(crate) fn headers(&self) -> &Path {
        &self.headers
    }

    /// What was kept.
    pub(crate) fn kept(&self) -> Option<String> {
        fs::read_to_string(&self.kept).ok().filter(|text| !text.is_empty())
    }

    /// Keeps what the answer that is now coming says. Where nothing can be kept, the next try begins anew.
    pub(crate) fn keep(&self) {
        let _ = match self.of_answer() {
            Some(validator) => fs::write(&self.kept, validator),
            None => fs::remove_file(&self.kept),
        };
    }

    /// Of a strong `ETag`, or of the time of the last change.
    fn of_answer(&self) -> Option<String> {
        let strong = self.header("etag").filter(|etag| etag.starts_with('"'));
        strong.or_else(|| self.header("last-modified"))
    }

    /// The length of the whole file, where the answer is that a range begins behind it.
    pub(crate) fn whole_length(&self) -> Option<u64> {
        self.header("content-range")?.strip_prefix("bytes */")?.parse().ok()
    }

    /// A header of the last answer: those of redirects stand before it.
    fn header(&self, name: &str) -> Option<String> {
        let bytes = fs::read(&self.headers).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let start = text.rfind("HTTP/")?;
        text[start..].lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    pub(crate) fn forget(&self) {
        for file in [&self.kept, &self.headers] {
            let _ = fs::remove_file(file);
        }
    }
}
