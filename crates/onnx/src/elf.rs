//! What the system's loader does not look at before it maps a library.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

const UNREADABLE: &str = "it cannot be read";
const CUT: &str = "it is cut short";

/// Length of the header of a 64-bit ELF file.
const HEADER: usize = 64;
/// Length of an entry of its table of segments.
const ENTRY: usize = 56;

/// Whether a file may be given to the loader.
///
/// The loader maps a segment that the file does not hold in full just the same, and the process ends by SIGBUS when it
/// is read. All else that may be wrong it says itself, and other formats than 64-bit little-endian ELF are left to it.
///
/// # Errors
///
/// What is wrong with the file, as the end of a sentence.
pub(crate) fn check(path: &Path) -> Result<(), &'static str> {
    let metadata = path.metadata().map_err(|_| UNREADABLE)?;
    if !metadata.is_file() {
        return Err("it is no file"); // to open a pipe would wait for whoever writes into it
    }
    let mut file = File::open(path).map_err(|_| UNREADABLE)?;
    let mut header = vec![];
    file.by_ref().take(HEADER as u64).read_to_end(&mut header).map_err(|_| UNREADABLE)?;
    if header.len() < HEADER || !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(());
    }
    // Of the loader one hears only that there is no such file.
    if machine().is_some_and(|machine| u16_at(&header, 18) != machine) {
        return Err("it is for another kind of machine");
    }
    let (first, count) = (u64_at(&header, 32), usize::from(u16_at(&header, 56)));
    if usize::from(u16_at(&header, 54)) != ENTRY {
        return Err("its header is damaged");
    }
    let mut table = vec![];
    file.seek(SeekFrom::Start(first)).map_err(|_| CUT)?;
    file.take((ENTRY * count) as u64).read_to_end(&mut table).map_err(|_| UNREADABLE)?;
    let segments = table.chunks_exact(ENTRY);
    let end = segments.map(|segment| u64_at(segment, 8).saturating_add(u64_at(segment, 32))).max();
    let whole = table.len() == ENTRY * count && end.is_none_or(|end| end <= metadata.len());
    if whole { Ok(()) } else { Err(CUT) }
}

/// How ELF numbers the machine that this program is for.
fn machine() -> Option<u16> {
    match std::env::consts::ARCH {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        _ => None,
    }
}

/// The little-endian number at `at`, 0 beyond the end.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The little-endian number at `at`, 0 beyond the end.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `check` says of a library with one segment of 100 bytes, changed.
    fn said(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), &'static str> {
        let mut bytes = vec![0; HEADER + ENTRY + 100];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine().unwrap_or(0).to_le_bytes());
        bytes[32] = HEADER as u8;
        bytes[54] = ENTRY as u8;
        bytes[56] = 1;
        bytes[HEADER + 8] = (HEADER + ENTRY) as u8;
        bytes[HEADER + 32] = 100;
        change(&mut bytes);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check(file.path())
    }

    #[test]
    fn a_whole_file_passes() {
        assert_eq!(said(|_| {}), Ok(()));
        assert_eq!(check(&std::env::current_exe().unwrap()), Ok(()));
    }

    #[test]
    fn a_cut_file_does_not_reach_the_loader() {
        for length in [HEADER, HEADER + ENTRY - 1, HEADER + ENTRY, HEADER + ENTRY + 99] {
            assert_eq!(said(|bytes| bytes.truncate(length)), Err("it is cut short"), "{length} bytes");
        }
    }

    #[test]
    fn what_is_no_elf_is_left_to_the_loader() {
        assert_eq!(said(Vec::clear), Ok(()));
        assert_eq!(said(|bytes| bytes.truncate(HEADER - 1)), Ok(()));
        assert_eq!(said(|bytes| *bytes = b"# just text\n".repeat(20)), Ok(()));
    }

    #[test]
    fn a_header_that_makes_no_sense_is_an_error() {
        if machine().is_some() {
            assert_eq!(said(|bytes| bytes[18] = 8), Err("it is for another kind of machine"));
        }
        assert_eq!(said(|bytes| bytes[54] = 1), Err("its header is damaged"));
        assert_eq!(said(|bytes| bytes[32..40].fill(255)), Err("it is cut short"));
        assert_eq!(said(|bytes| bytes[HEADER + 8..][..8].fill(255)), Err("it is cut short"));
    }

    #[test]
    fn a_folder_is_no_library() {
        assert_eq!(check(Path::new("/")), Err("it is no file"));
        assert_eq!(check(Path::new("/nowhere/at/all")), Err(UNREADABLE));
    }
}
