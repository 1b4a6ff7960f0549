//! Text files, whole: captions of the largest public sets fit in memory many times over.

use std::path::Path;

use super::{LayoutError, Location};

/// The file's text without its byte order mark. Errors name the first line that is not UTF-8.
pub(super) fn read(file: &Path) -> Result<String, LayoutError> {
    let bytes = std::fs::read(file).map_err(|source| LayoutError::Io { path: file.to_owned(), source })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count() as u64;
            Err(LayoutError::Encoding { at: Location::new(file, line) })
        }
    }
}

/// The lines that hold something, each with its number from 1.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
}
