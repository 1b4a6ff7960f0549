//! Image files from disk and pipes, read no further than an image can go on.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::Path;

use crate::content::{self, Content};
use crate::error::{ImageError, MAX_FILE_BYTES};
use crate::open;

/// Enough to tell the format, or what else it is.
const START: u64 = 4096;

/// Why a file holds no image that could be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// What the system said.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// No ordinary file, so it may never begin or never end.
    #[error("is {0}, not a file")]
    Kind(&'static str),
    /// More than any image within the limits of pixels has.
    #[error("is larger than any image that is read ({MAX_FILE_BYTES} bytes)")]
    TooLarge,
    /// Something else than an image, as its first bytes tell.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// What a file holds, by its first bytes; its name does not matter. Not more of it is read than that.
///
/// # Errors
///
/// No file, or one that is not ordinary (a folder, a pipe, a device).
pub fn content(path: &Path) -> Result<Content, FileError> {
    ordinary(path)?;
    let mut bytes = Vec::new();
    File::open(path)?.take(START).read_to_end(&mut bytes)?;
    Ok(content::of(&bytes))
}

/// The bytes of an image file. Of what is no image only the first are read.
///
/// # Errors
///
/// No file, or one that is not ordinary (a folder, a pipe, a device), is no image by its first bytes, or larger than
/// [`MAX_FILE_BYTES`].
pub fn read_file(path: &Path) -> Result<Vec<u8>, FileError> {
    let metadata = ordinary(path)?;
    if metadata.len() > MAX_FILE_BYTES {
        read_start(&mut File::open(path)?)?;
        return Err(FileError::TooLarge);
    }
    read(File::open(path)?)
}

/// The same for a stream, such as stdin.
///
/// # Errors
///
/// Those of [`read_file`] that can be told from the bytes.
pub fn read(mut source: impl Read) -> Result<Vec<u8>, FileError> {
    let mut bytes = read_start(&mut source)?;
    source.take(MAX_FILE_BYTES + 1 - bytes.len() as u64).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FileError::TooLarge);
    }
    Ok(bytes)
}

/// The first bytes, if they are those of an image.
fn read_start(source: &mut impl Read) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    source.take(START).read_to_end(&mut bytes)?;
    open::format(&bytes)?;
    Ok(bytes)
}

/// What the system knows of an ordinary file.
fn ordinary(path: &Path) -> Result<Metadata, FileError> {
    // Asked before the file is opened: opening a pipe waits for who writes into it.
    let metadata = std::fs::metadata(path)?;
    match unusual(metadata.file_type()) {
        Some(kind) => Err(FileError::Kind(kind)),
        None => Ok(metadata),
    }
}

/// What a path names instead of a file, in words.
fn unusual(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let unusual = [
            (kind.is_fifo(), "a named pipe"),
            (kind.is_char_device() || kind.is_block_device(), "a device"),
            (kind.is_socket(), "a socket"),
        ];
        if let Some((_, name)) = unusual.into_iter().find(|(is, _)| *is) {
            return Some(name);
        }
    }
    kind.is_dir().then_some("a folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Zeros without an end, behind some bytes.
    fn endless(start: &'static [u8]) -> impl Read {
        start.chain(io::repeat(0))
    }

    #[test]
    fn of_what_is_no_image_only_the_start_is_read() {
        assert!(matches!(read(endless(b"")), Err(FileError::Image(ImageError::UnknownFormat(_)))));
        assert!(matches!(read(endless(b"%PDF")), Err(FileError::Image(ImageError::UnknownFormat(_)))));
        assert!(matches!(read(io::empty()), Err(FileError::Image(ImageError::Empty))));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge");
        // Larger than any limit, and of no size on the disk.
        File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(matches!(read_file(&path), Err(FileError::Image(ImageError::UnknownFormat(_)))));
        std::io::Write::write_all(
            &mut File::options().write(true).open(&path).unwrap(),
            b"\x89PNG\r\n\x1a\n",
        )
        .unwrap();
        assert!(matches!(read_file(&path), Err(FileError::TooLarge)));
    }

    #[cfg(unix)]
    #[test]
    fn what_may_never_end_is_refused_by_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, pipe) = (folder.path().join("socket"), folder.path().join("pipe"));
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, kind) in [
            (socket.as_path(), "a socket"),
            (&pipe, "a named pipe"),
            (Path::new("/dev/zero"), "a device"),
            (folder.path(), "a folder"),
        ] {
            let error = read_file(path).unwrap_err().to_string();
            assert_eq!(error, format!("is {kind}, not a file"));
        }
        let error = read_file(&folder.path().join("none")).unwrap_err();
        assert!(matches!(error, FileError::Io(_)), "{error}");
    }
}
