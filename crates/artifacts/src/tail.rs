//! The checksum of a Parquet file's tail: of all that says where the numbers lie and what they are.
//!
//! Readers of Parquet believe the offsets and sizes in a footer. So the footer of our files has an entry with the BLAKE3 of
//! everything behind the last page, its own digits taken as zeros, which is compared before anything else is read.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader;

use crate::seal::{self, Sealer};

/// The footer's entry: `blake3:` with its digits, and where the tail begins.
pub(crate) const KEY: &str = "captioning.seal";
/// Digits of the place, in hexadecimal.
const PLACE: usize = 16;
/// Length of the footer, and the letters at the end of every Parquet file.
const END: u64 = 8;

/// The entry's value before the file is known.
pub(crate) fn open() -> String {
    format!("{}@{}", seal::open(), "0".repeat(PLACE))
}

/// Where the digits of the checksum and of the place lie in a part of the file, if it holds the entry.
fn digits(bytes: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let end = bytes.windows(KEY.len()).rposition(|window| window == KEY.as_bytes())? + KEY.len();
    // Thrift's compact protocol: the second field, a string, of so many bytes.
    let value = bytes[end..].strip_prefix(&[0x18, open().len() as u8])?;
    let start = end + 2 + (seal::open().len() - seal::DIGITS);
    let checksum = start..start + seal::DIGITS;
    let place = checksum.end + 1..checksum.end + 1 + PLACE;
    (value.starts_with(b"blake3:") && place.end <= bytes.len()).then_some((checksum, place))
}

fn hash(tail: &[u8], digits: &Range<usize>) -> String {
    let mut sealer = Sealer::default();
    sealer.update(&tail[..digits.start]);
    sealer.update(&[b'0'; seal::DIGITS]);
    sealer.update(&tail[digits.end..]);
    sealer.finish()
}

/// Fills in the entry of a file that is written, whose footer is `metadata`.
pub(crate) fn seal(file: &mut BufWriter<&File>, metadata: &ParquetMetaData) -> Result<()> {
    file.flush()?;
    let mut file = *file.get_ref();
    let columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    let ends = columns.map(|column| {
        let (start, length) = column.byte_range();
        start + length
    });
    let start = ends.max().unwrap_or(0);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.read_to_end(&mut tail)?;
    let missing = || ParquetError::General(format!("the footer lacks {KEY}"));
    let (checksum, place) = digits(&tail).ok_or_else(missing)?;
    tail[place.clone()].copy_from_slice(format!("{start:0PLACE$x}").as_bytes());
    let hash = hash(&tail, &checksum);
    tail[checksum.clone()].copy_from_slice(hash.as_bytes());
    file.seek(SeekFrom::Start(start + checksum.start as u64))?;
    file.write_all(&tail[checksum.start..place.end])?;
    Ok(())
}

/// Compares the tail of a file with its checksum; false when it has none.
pub(crate) fn check(file: &impl ChunkReader) -> std::result::Result<bool, seal::Broken> {
    let read = |start: u64| {
        let length = usize::try_from(file.len().checked_sub(start)?).ok()?;
        file.get_bytes(start, length).ok()
    };
    let footer = || {
        let end = read(file.len().checked_sub(END)?)?;
        let length = u32::from_le_bytes(*end.first_chunk()?);
        read(file.len().checked_sub(END + u64::from(length))?)
    };
    let Some(footer) = footer() else { return Ok(false) };
    let Some((_, place)) = digits(&footer) else { return Ok(false) };
    let start =
        std::str::from_utf8(&footer[place]).ok().and_then(|place| u64::from_str_radix(place, 16).ok());
    let tail = start.and_then(read).ok_or(seal::Broken)?;
    let (checksum, _) = digits(&tail).ok_or(seal::Broken)?;
    if hash(&tail, &checksum).as_bytes() == &tail[checksum] { Ok(true) } else { Err(seal::Broken) }
}
