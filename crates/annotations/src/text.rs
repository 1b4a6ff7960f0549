//! Text files, whole: captions of the largest public sets fit in memory many times over.

use std::path::Path;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::{Location, ReadError};

/// Files that people take for tables of text: how they begin, what they are, what to do.
const OTHERS: [(&[u8], &str, &str); 6] = [
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save the table as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the table as CSV UTF-8"),
    (b"PAR1", "a Parquet file", "write it as CSV, for example with pandas' to_csv"),
    (b"\x1f\x8b", "a gzip file", "unpack it with gunzip"),
    (b"%PDF", "a PDF document", "bring the table as CSV"),
    (b"\xff\xfe\0\0", "text in UTF-32", "convert it to UTF-8 with iconv"),
];

/// Bytes that are looked at to tell UTF-16 without its mark.
const LOOKED_AT: usize = 64;

/// The text of a file, as [`decode`] makes it.
///
/// # Errors
/// A file that cannot be read, and bytes that are no text.
pub fn read(file: &Path) -> Result<String, ReadError> {
    let bytes = std::fs::read(file).map_err(|source| ReadError::Io { path: file.to_owned(), source })?;
    decode(file, bytes)
}

/// The text of a file's bytes, UTF-8 or UTF-16, without its byte order mark.
///
/// # Errors
/// Bytes that are no text; the first line at fault is named.
pub fn decode(file: &Path, bytes: Vec<u8>) -> Result<String, ReadError> {
    if let Some((_, kind, advice)) = OTHERS.iter().find(|(start, ..)| bytes.starts_with(start)) {
        return Err(ReadError::NotText { file: file.to_owned(), kind, advice });
    }
    let (encoding, mark) =
        Encoding::for_bom(&bytes).unwrap_or_else(|| (unmarked(&bytes).unwrap_or(UTF_8), 0));
    if encoding == UTF_8 {
        return utf8(file, bytes, mark);
    }
    let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..]);
    let text = text.map(std::borrow::Cow::into_owned);
    text.ok_or_else(|| ReadError::NotText {
        file: file.to_owned(),
        kind: "damaged UTF-16",
        advice: "save it again as UTF-8",
    })
}

fn utf8(file: &Path, bytes: Vec<u8>, mark: usize) -> Result<String, ReadError> {
    match String::from_utf8(bytes) {
        Ok(text) if mark == 0 => Ok(text),
        Ok(text) => Ok(text[mark..].to_owned()),
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count() as u64;
            Err(ReadError::Encoding { at: Location::new(file, line) })
        }
    }
}

/// UTF-16 without a mark: tables begin with words of ASCII, so every other byte is zero.
fn unmarked(bytes: &[u8]) -> Option<&'static Encoding> {
    let (pairs, rest) = bytes[..bytes.len().min(LOOKED_AT)].as_chunks::<2>();
    if pairs.len() < 2 || !rest.is_empty() {
        return None;
    }
    if pairs.iter().all(|pair| pair[0] != 0 && pair[1] == 0) {
        return Some(UTF_16LE);
    }
    pairs.iter().all(|pair| pair[0] == 0 && pair[1] != 0).then_some(UTF_16BE)
}

/// The lines that hold something, each with its number from 1.
pub fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "image;caption\r\na.jpg;Ein Café 🐕\r\n";

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn decoded(bytes: Vec<u8>) -> Result<String, ReadError> {
        decode(Path::new("t.csv"), bytes)
    }

    #[test]
    fn marks_and_sixteen_bits_are_read() {
        let with_mark = format!("\u{feff}{TEXT}");
        let written = [
            TEXT.as_bytes().to_vec(),
            with_mark.as_bytes().to_vec(),
            utf16(&with_mark, u16::to_le_bytes),
            utf16(&with_mark, u16::to_be_bytes),
            utf16("image,caption\na.jpg,A dog runs over the lawn and is glad.\n", u16::to_le_bytes),
            utf16("image,caption\na.jpg,A dog runs over the lawn and is glad.\n", u16::to_be_bytes),
        ];
        let read = written.map(|bytes| decoded(bytes).unwrap());
        assert_eq!(read[..4], [TEXT; 4]);
        assert!(read[4..].iter().all(|text| text.starts_with("image,caption\na.jpg,A dog")));
    }

    #[test]
    fn what_is_no_text_is_named() {
        let cases: [(&[u8], &str); 5] = [
            (b"image,caption\na.jpg,A caf\xe9\n", "t.csv:2: not UTF-8"),
            (b"PK\x03\x04\x14\0", "Excel workbook, not text; unpack it, or save the table as CSV UTF-8"),
            (b"PAR1\x15\x04", "a Parquet file"),
            (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
            (b"\xff\xfea\0\0\xd8", "damaged UTF-16"),
        ];
        for (bytes, part) in cases {
            let message = decoded(bytes.to_vec()).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn empty_lines_are_passed_over_and_counted() {
        assert_eq!(lines("a\r\n\n \nb").collect::<Vec<_>>(), [(1, "a"), (4, "b")]);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "[^\u{feff}\0PK%][^\0]*") {
            let marked = format!("\u{feff}{text}");
            prop_assert_eq!(&decoded(text.clone().into_bytes()).unwrap(), &text);
            prop_assert_eq!(&decoded(marked.clone().into_bytes()).unwrap(), &text);
            prop_assert_eq!(&decoded(utf16(&marked, u16::to_le_bytes)).unwrap(), &text);
        }
    }
}
