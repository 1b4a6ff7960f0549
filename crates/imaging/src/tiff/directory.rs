//! The first directory of a TIFF as far as it lies in some bytes: which tags it has, and where their values stand.

/// Kind of the subfile; bit 0 says that it is a smaller one of another.
const NEW_SUBFILE_TYPE: u16 = 254;
const SUB_DIRECTORIES: u16 = 330;
const DNG_VERSION: u16 = 50706;

/// Where each tag's value stands, or the offset of it where it is longer.
pub(super) struct Directory {
    big_endian: bool,
    entries: Vec<(u16, usize)>,
}

impl Directory {
    /// Nothing where the bytes are no TIFF, or end before the directory does.
    pub(super) fn read(bytes: &[u8]) -> Option<Directory> {
        let big_endian = match bytes.get(..2)? {
            b"MM" => true,
            b"II" => false,
            _ => return None,
        };
        let number = |at: usize, length: usize| -> Option<u64> {
            let digits = bytes.get(at..at.checked_add(length)?)?;
            let add = |value: u64, digit: &u8| value << 8 | u64::from(*digit);
            Some(if big_endian { digits.iter().fold(0, add) } else { digits.iter().rev().fold(0, add) })
        };
        // Of BigTIFF every offset and count has eight bytes.
        let (start, counter, entry, value) = match number(2, 2)? {
            42 => (number(4, 4)?, 2, 12, 8),
            43 => (number(8, 8)?, 8, 20, 12),
            _ => return None,
        };
        let start = usize::try_from(start).ok()?;
        let first = start.checked_add(counter)?;
        let count = usize::try_from(number(start, counter)?).ok()?.min(bytes.len() / entry);
        let at = |index: usize| first.checked_add(index * entry);
        let entries = (0..count).map(|index| Some((number(at(index)?, 2)? as u16, at(index)? + value)));
        Some(Directory { big_endian, entries: entries.collect::<Option<_>>()? })
    }

    /// Where the value of a tag stands.
    pub(super) fn place_of(&self, tag: u16) -> Option<usize> {
        self.entries.iter().find(|(known, _)| *known == tag).map(|(_, place)| *place)
    }

    /// A number of 16 bits as the file writes it.
    pub(super) fn short(&self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

/// Whether the bytes begin a raw photo of a camera in the form of a TIFF (DNG, NEF, …): its first picture is a thumbnail.
pub(crate) fn is_raw_photo(bytes: &[u8]) -> bool {
    let Some(directory) = Directory::read(bytes) else { return false };
    let is_reduced = directory.place_of(NEW_SUBFILE_TYPE).is_some_and(|place| {
        bytes.get(place..place + 2).is_some_and(|value| value == directory.short(1))
            || bytes.get(place..place + 4).is_some_and(|value| value == [0, 0, 0, 1])
    });
    directory.place_of(DNG_VERSION).is_some() || is_reduced && directory.place_of(SUB_DIRECTORIES).is_some()
}
