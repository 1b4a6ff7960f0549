//! Files of this machine.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::{Bytes, BytesMut};

use crate::{Entry, StoreError};

/// An open file.
#[derive(Debug)]
pub(crate) struct LocalFile {
    file: File,
    /// In bytes, when it was opened.
    pub(crate) size: u64,
    pub(crate) stamp: String,
}

impl LocalFile {
    pub(crate) fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = BytesMut::zeroed(length);
        read_exact_at(&self.file, &mut bytes, offset)?;
        Ok(bytes.freeze())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek};
    let mut file = file.try_clone()?;
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

/// Opens an ordinary file.
pub(crate) fn open(path: &Path) -> Result<LocalFile, StoreError> {
    let at = path.display().to_string();
    let failed = |source| StoreError::io(at.clone(), source);
    // Asked before the file is opened: opening a pipe waits for who writes into it.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "no ordinary file")));
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    Ok(LocalFile { file, size: metadata.len(), stamp: stamp(&metadata) })
}

/// What tells a file from its later forms without reading it: size and time; of what cannot be asked for, that it cannot.
pub fn stamp_of(path: &Path) -> String {
    std::fs::metadata(path).map_or_else(|_| "absent".to_owned(), |metadata| stamp(&metadata))
}

/// What tells a file from its later forms without reading it: size and time.
pub(crate) fn stamp(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} {:?}", metadata.len(), modified)
}

/// Writes a file beside its place and renames it into it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|source| StoreError::io(path.display().to_string(), source))
}

pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io(path.display().to_string(), source))
        }
        _ => Ok(()),
    }
}

/// All ordinary files below `root`, links followed; hidden ones and those in hidden folders are passed over.
pub(crate) fn list(root: &Path) -> Result<Vec<Entry>, StoreError> {
    let mut entries = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let whole = root.join(&folder);
        let failed = |source| StoreError::io(whole.display().to_string(), source);
        for entry in std::fs::read_dir(&whole).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let path = folder.join(&name);
            match std::fs::metadata(root.join(&path)) {
                Ok(metadata) if metadata.is_dir() && !entry.path().is_symlink() => folders.push(path),
                Ok(metadata) if metadata.is_file() => {
                    if let Some(name) = path.to_str() {
                        let (size, stamp) = (metadata.len(), stamp(&metadata));
                        entries.push(Entry { name: name.to_owned(), size, stamp });
                    }
                }
                _ => {}
            }
        }
    }
    Ok(entries)
}
