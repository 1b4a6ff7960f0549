//! The bytes under one name.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::StoreError;
use crate::local::LocalFile;
use crate::remote::Object;

/// How much a [`Reader`] takes at first, and at most. It takes twice as much each time: who reads the header of a page stops
/// soon, who reads an archive does not.
const CHUNKS: [u64; 2] = [8 << 10, 1 << 20];

/// An open file or object. Cheap to clone; threads may share it.
#[derive(Clone, Debug)]
pub struct Blob(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    at: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(LocalFile),
    Object(Object),
}

impl Blob {
    pub(crate) fn of_file(at: String, file: LocalFile) -> Blob {
        Blob(Arc::new(Inner { at, source: Source::File(file) }))
    }

    pub(crate) fn of_object(at: String, object: Object) -> Blob {
        Blob(Arc::new(Inner { at, source: Source::Object(object) }))
    }

    /// Path or address.
    pub fn at(&self) -> &str {
        &self.0.at
    }

    /// In bytes, when it was opened.
    pub fn size(&self) -> u64 {
        match &self.0.source {
            Source::File(file) => file.size,
            Source::Object(object) => object.size(),
        }
    }

    /// Differs after every change of the bytes.
    pub fn stamp(&self) -> &str {
        match &self.0.source {
            Source::File(file) => &file.stamp,
            Source::Object(object) => object.stamp(),
        }
    }

    /// `length` bytes from `offset` on. Ranges that follow one another share requests.
    ///
    /// # Errors
    /// The bytes end earlier, they are others than when the blob was opened, or the system or the store fails.
    pub fn range(&self, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        let end = offset.checked_add(length).filter(|&end| end <= self.size());
        let Some(end) = end else {
            let end = offset.saturating_add(length);
            return Err(StoreError::Short { at: self.0.at.clone(), size: self.size(), end });
        };
        if length == 0 {
            // Servers refuse such a range.
            return Ok(Bytes::new());
        }
        match &self.0.source {
            Source::File(file) => file.read(offset, length as usize).map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => StoreError::Changed { at: self.0.at.clone() },
                _ => StoreError::io(self.at(), source),
            }),
            Source::Object(object) => {
                object.range(offset..end).map_err(|error| StoreError::object(self.at(), &error))
            }
        }
    }

    /// The bytes from `offset` to the end, one after the other.
    pub fn reader(&self, offset: u64) -> Reader {
        Reader { blob: self.clone(), offset, chunk: Bytes::new(), next: CHUNKS[0] }
    }
}

/// Reads a blob from front to back.
pub struct Reader {
    blob: Blob,
    /// Where the next chunk begins.
    offset: u64,
    chunk: Bytes,
    /// Length of the next chunk.
    next: u64,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            let length = self.blob.size().saturating_sub(self.offset).min(self.next);
            if length == 0 {
                return Ok(0);
            }
            self.chunk = self.blob.range(self.offset, length).map_err(io::Error::other)?;
            self.offset += length;
            self.next = (2 * self.next).min(CHUNKS[1]);
        }
        let length = out.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

impl Seek for Reader {
    /// What is passed over is not fetched, beyond the chunk that is there.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let now = self.offset - self.chunk.len() as u64;
        let target = match to {
            SeekFrom::Start(target) => Some(target),
            SeekFrom::Current(distance) => now.checked_add_signed(distance),
            SeekFrom::End(distance) => self.blob.size().checked_add_signed(distance),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the first byte");
        let target = target.ok_or_else(before)?;
        if (now..=self.offset).contains(&target) {
            self.chunk.advance((target - now) as usize);
        } else {
            self.chunk.clear();
            self.offset = target;
        }
        Ok(target)
    }
}

impl Length for Blob {
    fn len(&self) -> u64 {
        self.size()
    }
}

impl ChunkReader for Blob {
    type T = Reader;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Reader> {
        Ok(self.reader(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.range(start, length as u64).map_err(|error| ParquetError::External(Box::new(error)))
    }
}
