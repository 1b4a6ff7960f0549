//! The files that systems leave in people's folders.

use std::ffi::OsStr;

const NAMES: [&str; 17] = [
    ".AppleDouble",
    ".DS_Store",
    ".TemporaryItems",
    ".Trashes",
    ".apdisk",
    ".directory",
    ".localized",
    ".nomedia",
    "$RECYCLE.BIN",
    "@eaDir",
    "Icon\r",
    "System Volume Information",
    "Thumbs.db",
    "__MACOSX",
    "desktop.ini",
    "ehthumbs.db",
    "ehthumbs_vista.db",
];
/// What the names begin with that a Mac gives to resource forks on other file systems, and to its indexes.
const STARTS: [&str; 4] = ["._", ".Spotlight-", ".fseventsd", ".Trash-"];

/// Whether a file or folder of this name was put there by a system for itself: `._x` and `.DS_Store` of macOS, `Thumbs.db` and
/// `desktop.ini` of Windows, and the like. Nobody misses them, so they are passed over without a word.
///
/// Another name that begins with a dot is hidden, but somebody's own.
pub fn is_of_system(name: &OsStr) -> bool {
    // Every such name is ASCII.
    name.to_str().is_some_and(|name| {
        NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
            || STARTS.iter().any(|start| name.starts_with(start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_files_are_told_from_peoples() {
        for name in
            ["._IMG_1.jpg", ".DS_Store", "Thumbs.db", "THUMBS.DB", "Desktop.ini", "Icon\r", "__MACOSX"]
        {
            assert!(is_of_system(OsStr::new(name)), "{name}");
        }
        for name in ["IMG_1.jpg", ".hidden.jpg", "_a.jpg", "thumbs.jpg", "Icon", ".", "größe.png"] {
            assert!(!is_of_system(OsStr::new(name)), "{name}");
        }
    }
}
