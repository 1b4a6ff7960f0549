//! Where the bytes of a part lie.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

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
