//! Files that carry a checksum of themselves.
//!
//! A JSON object, or the JSON header of a safetensors file, has an entry `checksum` with the BLAKE3 of the whole file, its
//! own digits taken as zeros. One flipped byte, wherever it lies, is then seen by whoever reads the file, without another
//! file beside it.

use std::ops::Range;

/// Name of the entry.
pub const KEY: &str = "checksum";
/// What stands before the digits.
const PREFIX: &str = "blake3:";
/// A BLAKE3 hash in hexadecimal.
pub(crate) const DIGITS: usize = 64;

/// The content of a file does not fit its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its content does not fit its checksum, so some of its bytes are not those that were written")]
pub struct Broken;

/// The entry's value before the file is known.
pub fn open() -> String {
    format!("{PREFIX}{}", "0".repeat(DIGITS))
}

/// Where the digits lie in `head`, the JSON that a file consists of or begins with.
///
/// Quotes inside of JSON strings are escaped, so nothing but the entry itself looks like it.
pub fn digits(head: &[u8]) -> Option<Range<usize>> {
    let name = format!("\"{KEY}\":");
    let ends = head.windows(name.len()).enumerate().filter(|(_, window)| *window == name.as_bytes());
    ends.map(|(at, _)| at + name.len()).find_map(|at| {
        let value = at + head[at..].iter().take_while(|byte| **byte == b' ').count();
        let start = value + 1 + PREFIX.len();
        let digits = start..start + DIGITS;
        let opened = head.get(value..start)?.strip_prefix(b"\"")? == PREFIX.as_bytes();
        (opened && head.get(digits.end) == Some(&b'"')).then_some(digits)
    })
}

/// Hashes a file piece by piece.
#[derive(Default)]
pub struct Sealer(blake3::Hasher);

impl Sealer {
    /// Takes in the next bytes, in which the digits are still zeros.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digits.
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// Puts the digits into JSON that holds an [`open`] entry.
pub(crate) fn seal(json: &mut [u8]) {
    if let Some(place) = digits(json) {
        let mut sealer = Sealer::default();
        sealer.update(json);
        json[place].copy_from_slice(sealer.finish().as_bytes());
    }
}

/// Compares a file with its checksum, which lies in its first `head` bytes; false when it has none.
///
/// # Errors
///
/// When they differ.
pub fn check(file: &[u8], head: usize) -> Result<bool, Broken> {
    let Some(place) = digits(&file[..head.min(file.len())]) else { return Ok(false) };
    let mut sealer = Sealer::default();
    sealer.update(&file[..place.start]);
    sealer.update(&[b'0'; DIGITS]);
    sealer.update(&file[place.end..]);
    if sealer.finish().as_bytes() == &file[place] { Ok(true) } else { Err(Broken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_byte_of_a_sealed_file_is_seen_or_leaves_it_without_a_checksum() {
        let mut json = format!(r#"{{"{KEY}": "{}", "text": "\"{KEY}\":\"blake3:0"}}"#, open()).into_bytes();
        seal(&mut json);
        assert_eq!(check(&json, json.len()), Ok(true));
        let place_of_digits = digits(&json).unwrap();
        for place in 0..json.len() {
            let mut flipped = json.clone();
            flipped[place] ^= 1;
            let found = check(&flipped, flipped.len());
            let frame = (1..place_of_digits.start).contains(&place) || place == place_of_digits.end;
            assert!(found == Err(Broken) || found == Ok(false) && frame, "{place}: {found:?}");
        }
        assert_eq!(check(b"{}", 2), Ok(false));
    }
}
