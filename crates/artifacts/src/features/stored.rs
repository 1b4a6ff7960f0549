//! Where the bytes of a part lie.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// How much is read at once of small pieces that follow one another: the identities of a row group are as large.
const WINDOW: usize = 16 << 10;
/// How much is read at once where it is not known how much is wanted.
const PIECE: u64 = 64 << 10;

/// Bytes by their range, for parts that lie elsewhere than on this machine.
pub trait Stored: Send + Sync + fmt::Debug {
    /// How many there are.
    fn size(&self) -> u64;

    /// `length` bytes from `offset` on.
    ///
    /// # Errors
    /// They cannot be read.
    fn range(&self, offset: u64, length: u64) -> io::Result<Bytes>;
}

/// The file of a part, which must stay where it is.
#[derive(Clone, Debug)]
pub(super) enum PartFile {
    Local(PathBuf),
    Stored(Arc<dyn Stored>),
}

/// The same, open.
pub(super) enum Opened {
    Local(File),
    Stored(Arc<dyn Stored>),
}

impl PartFile {
    pub(super) fn open(&self) -> io::Result<Opened> {
        Ok(match self {
            PartFile::Local(path) => Opened::Local(File::open(path)?),
            PartFile::Stored(stored) => Opened::Stored(stored.clone()),
        })
    }
}

impl Length for Opened {
    fn len(&self) -> u64 {
        match self {
            Opened::Local(file) => file.len(),
            Opened::Stored(stored) => stored.size(),
        }
    }
}

impl ChunkReader for Opened {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        match self {
            Opened::Local(file) => Ok(Box::new(file.get_read(start)?)),
            Opened::Stored(stored) => {
                let (stored, size) = (stored.clone(), stored.size());
                let mut at = start;
                let pieces = std::iter::from_fn(move || {
                    let length = size.saturating_sub(at).min(PIECE);
                    at += length;
                    (length > 0).then(|| stored.range(at - length, length))
                });
                Ok(Box::new(Pieces { pieces: Box::new(pieces), piece: Cursor::new(Bytes::new()) }))
            }
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match self {
            Opened::Local(file) => file.get_bytes(start, length),
            Opened::Stored(stored) => {
                stored.range(start, length as u64).map_err(|error| ParquetError::External(Box::new(error)))
            }
        }
    }
}

/// An open file whose small pieces are read in the order of their places, several at once.
pub(super) struct Ahead {
    file: Opened,
    size: u64,
    /// What was read last, and from where on.
    window: Mutex<(u64, Bytes)>,
}

impl Ahead {
    pub(super) fn new(file: Opened) -> Ahead {
        Ahead { size: file.len(), file, window: Mutex::new((0, Bytes::new())) }
    }
}

impl Length for Ahead {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Ahead {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let left = self.size.saturating_sub(start);
        if length > WINDOW || length as u64 > left {
            return self.file.get_bytes(start, length);
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let within = |(at, bytes): &(u64, Bytes)| {
            let from = usize::try_from(start.checked_sub(*at)?).ok()?;
            (from + length <= bytes.len()).then(|| bytes.slice(from..from + length))
        };
        if let Some(bytes) = within(&window) {
            return Ok(bytes);
        }
        let bytes = self.file.get_bytes(start, left.min(WINDOW as u64) as usize)?;
        *window = (start, bytes.clone());
        Ok(bytes.slice(..length))
    }
}

/// Pieces read one after the other.
struct Pieces {
    pieces: Box<dyn Iterator<Item = io::Result<Bytes>> + Send>,
    piece: Cursor<Bytes>,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read(out)?;
        if read > 0 || out.is_empty() {
            return Ok(read);
        }
        match self.pieces.next() {
            Some(piece) => {
                self.piece = Cursor::new(piece?);
                self.piece.read(out)
            }
            None => Ok(0),
        }
    }
}
