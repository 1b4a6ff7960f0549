//! What a tar archive holds, with where each member's bytes lie, so that it is never unpacked.
//!
//! Names of any form are read (ustar, PAX, GNU). Archives that were written one behind the other are read to the end, and one whose
//! end is missing is told from a whole one, also where it was cut between two members.

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom};

use imaging::MAX_FILE_BYTES;
use store::{Blob, StoreError};
use tar::{Archive, Entry, EntryType};

/// The unit of tar.
const BLOCK: u64 = 512;
/// Letters of a reason, at most.
const LONGEST: usize = 200;
/// How gzip begins: a packed archive has no members that could be read alone.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// A member of an archive.
#[derive(Debug)]
pub struct Member {
    /// Its name as it stands there, which may be anything.
    pub name: String,
    /// Where its bytes begin in the archive.
    pub offset: u64,
    /// What it is.
    pub content: Content,
}

/// What a member is.
#[derive(Debug)]
pub enum Content {
    /// A file, with its bytes.
    File(Vec<u8>),
    /// A file whose bytes cannot be used, and why.
    Unusable(&'static str),
    /// A folder, a link, or what else is no file.
    Other,
}

/// An archive that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Its end is missing.
    #[error("{at} is cut short after {members} members: fetch or write it again")]
    Cut {
        /// Path or address.
        at: String,
        /// Whole members before the cut.
        members: usize,
    },
    /// It is packed as a whole.
    #[error(
        "{at} is packed: members of a packed archive cannot be read one by one; unpack it to a plain .tar (`gunzip`)"
    )]
    Packed {
        /// Path or address.
        at: String,
    },
    /// The system or the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is none, or damaged.
    #[error("{at} cannot be read as a tar archive behind {members} members: {reason}")]
    Malformed {
        /// Path or address.
        at: String,
        /// Whole members before the fault.
        members: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Reads an archive from front to back and shows `visit` each of its members.
///
/// # Errors
/// An archive that is cut short, packed, damaged or none, or the system or the store fails. What was shown before is whole.
pub fn read(blob: &Blob, mut visit: impl FnMut(Member)) -> Result<(), ArchiveError> {
    let failed = RefCell::new(None);
    let members = RefCell::new(0);
    let read = members_of(blob, &failed, &mut |member| {
        visit(member);
        *members.borrow_mut() += 1;
    });
    let members = members.into_inner();
    let (at, cut) = (blob.at().to_owned(), |at| ArchiveError::Cut { at, members });
    match (failed.into_inner(), read) {
        (Some(error), _) => Err(error.into()),
        (None, Ok(Ending::Whole)) => Ok(()),
        (None, Ok(Ending::Missing)) => Err(cut(at)),
        (None, Ok(Ending::Packed)) => Err(ArchiveError::Packed { at }),
        (None, Err(error)) => {
            let reason = chain(&error);
            // The reader of tar has no kind for it.
            let is_cut = CUT.iter().any(|words| reason.contains(words));
            Err(if is_cut { cut(at) } else { ArchiveError::Malformed { at, members, reason } })
        }
    }
}

/// What the reader of tar says of an archive that is cut short: in a member, in a header, behind a header that describes the next one.
const CUT: [&str; 4] = [
    "unexpected EOF",
    "failed to read entire block",
    "failed to fill whole buffer",
    "no future member found",
];

/// How the reading ended.
enum Ending {
    Whole,
    Missing,
    Packed,
}

fn members_of(
    blob: &Blob,
    failed: &RefCell<Option<StoreError>>,
    visit: &mut dyn FnMut(Member),
) -> io::Result<Ending> {
    let bytes = || Bytes { reader: blob.reader(0), failed };
    let mut start = [0; GZIP.len()];
    if bytes().read_exact(&mut start).is_ok() && start == GZIP {
        return Ok(Ending::Packed);
    }
    let mut archive = Archive::new(bytes());
    // Between archives that lie one behind the other.
    archive.set_ignore_zeros(true);
    let mut end = 0;
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let sparse = kind == EntryType::GNUSparse || has_sparse_form(&mut entry)?;
        // Of a sparse file the entry's size is that of the file with its holes.
        let size = if kind == EntryType::GNUSparse { entry.header().entry_size()? } else { entry.size() };
        let offset = entry.raw_file_position();
        // Before memory is taken for what a header only claims.
        let Some(behind) = offset.checked_add(size).filter(|&behind| behind <= blob.size()) else {
            return Ok(Ending::Missing);
        };
        end = behind.next_multiple_of(BLOCK);
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
        let name = String::from_utf8(entry.path_bytes().into_owned());
        let content = if sparse {
            Content::Unusable("a sparse file")
        } else if !is_file {
            Content::Other
        } else if name.is_err() {
            Content::Unusable("a file whose name is not UTF-8")
        } else if size > MAX_FILE_BYTES {
            Content::Unusable("larger than any image or text that is read")
        } else {
            let mut bytes = Vec::with_capacity(size as usize);
            entry.read_to_end(&mut bytes)?;
            Content::File(bytes)
        };
        let name = name.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        visit(Member { name, offset, content });
    }
    // A whole archive ends with a block of zeros.
    Ok(if blob.size() < end + BLOCK { Ending::Missing } else { Ending::Whole })
}

/// Whether a file has holes that are left out, in the way of PAX: its bytes begin with a list of what is there.
fn has_sparse_form<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<bool> {
    let Some(mut extensions) = entry.pax_extensions()? else { return Ok(false) };
    Ok(extensions
        .any(|extension| extension.is_ok_and(|extension| extension.key_bytes().starts_with(b"GNU.sparse."))))
}

/// A blob from front to back, which keeps why it could not be read: the reader of tar makes words of it.
struct Bytes<'a> {
    reader: store::Reader,
    failed: &'a RefCell<Option<StoreError>>,
}

impl Read for Bytes<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out).map_err(|error| match error.downcast::<StoreError>() {
            Ok(error) => {
                let said = io::Error::other(error.to_string());
                *self.failed.borrow_mut() = Some(error);
                said
            }
            Err(error) => error,
        })
    }
}

impl Seek for Bytes<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}

/// An error with its causes, which may quote what is no text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text.chars().take(LONGEST).collect()
}
