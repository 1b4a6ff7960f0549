//! One thing to caption: a photo or a video, told by its content.

use std::path::{Path, PathBuf};

use caption::video::is_video;
use imaging::{Content, FileError};

/// One thing to caption.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    Stdin,
    Photo(PathBuf),
    Video(PathBuf),
}

impl Input {
    /// A file by its content; where that is not known, by its name.
    pub(crate) fn of(path: PathBuf, content: Option<Content>) -> Input {
        match content {
            Some(Content::Video) => Input::Video(path),
            Some(Content::Other(_)) | None if is_video(&path) => Input::Video(path),
            _ => Input::Photo(path),
        }
    }

    /// As it was named; `-` for stdin.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Input::Stdin => Path::new("-"),
            Input::Photo(path) | Input::Video(path) => path,
        }
    }

    /// The bytes of a photo.
    pub(crate) fn read(&self) -> Result<Vec<u8>, FileError> {
        match self {
            Input::Stdin => imaging::read(std::io::stdin()),
            Input::Photo(path) | Input::Video(path) => imaging::read_file(path),
        }
    }
}
