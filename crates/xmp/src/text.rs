//! Bytes as text, and back in the encoding that they had.

use std::borrow::Cow;

use crate::error::XmpError;

/// Bytes of the largest sidecar that is read. Those of darktable with drawn masks have some hundred kilobytes.
pub const MAX_BYTES: usize = 16 << 20;

const MARK: char = '\u{feff}';

/// How a file is encoded, and whether it begins with a byte order mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    unit: Unit,
    marked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    pub(crate) const UTF_8: Encoding = Encoding { unit: Unit::Utf8, marked: false };

    /// The text without its mark.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Encoding, Cow<'_, str>), XmpError> {
        if bytes.len() > MAX_BYTES {
            return Err(XmpError::TooLarge(MAX_BYTES));
        }
        let unit = match bytes {
            [0xff, 0xfe, ..] | [b'<', 0, ..] => Unit::Utf16Le,
            [0xfe, 0xff, ..] | [0, b'<', ..] => Unit::Utf16Be,
            _ => Unit::Utf8,
        };
        let text = match unit {
            Unit::Utf8 => Cow::Borrowed(std::str::from_utf8(bytes).map_err(|_| XmpError::NotText)?),
            Unit::Utf16Le => Cow::Owned(utf16(bytes, u16::from_le_bytes)?),
            Unit::Utf16Be => Cow::Owned(utf16(bytes, u16::from_be_bytes)?),
        };
        let marked = text.starts_with(MARK);
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(MARK).unwrap_or(text)),
            Cow::Owned(text) if marked => Cow::Owned(text[MARK.len_utf8()..].to_owned()),
            text => text,
        };
        match declared(&text) {
            Some(name) if !is_known(name) => Err(XmpError::Encoding(name.chars().take(40).collect())),
            _ => Ok((Encoding { unit, marked }, text)),
        }
    }

    pub(crate) fn encode(self, text: &str) -> Vec<u8> {
        let mark = if self.marked { "\u{feff}" } else { "" };
        match self.unit {
            Unit::Utf8 => [mark, text].concat().into_bytes(),
            Unit::Utf16Le => [mark, text].concat().encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Unit::Utf16Be => [mark, text].concat().encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, XmpError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    match rest {
        [] => String::from_utf16(&units).map_err(|_| XmpError::NotText),
        _ => Err(XmpError::NotText),
    }
}

/// The encoding that the XML declaration names.
fn declared(text: &str) -> Option<&str> {
    let declaration = text.strip_prefix("<?xml")?.split("?>").next()?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    value[1..].split(quote).next()
}

fn is_known(name: &str) -> bool {
    ["utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// What XML can hold: characters that it forbids are replaced.
pub(crate) fn clean(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
    text.chars().map(|c| if allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Text between tags.
pub(crate) fn escape(text: &str) -> String {
    // A plain carriage return would be read as a line feed.
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#13;")
}

/// The value of an attribute in single quotes.
pub(crate) fn escape_value(text: &str) -> String {
    escape(text).replace('\'', "&apos;").replace('\n', "&#10;").replace('\t', "&#9;")
}
