//! Quotes of CSV, strict where the usual parsers guess.
//!
//! A forgotten closing quote makes a lenient parser swallow rows up to the next quote, and an unquoted separator cuts a
//! caption short. Both are refused here, because the rows that they damage still look like captions.

use std::borrow::Cow;
use std::path::Path;

use crate::{Location, ReadError};

/// `text` without blanks around quoted fields, which Python's writers leave and the parser takes for part of the field.
///
/// Quoted fields that never end or go on after their closing quote (RFC 4180, section 2) are refused. A quote inside an
/// unquoted field is an ordinary character, as in Python's and Excel's readers.
pub(super) fn tidy<'a>(file: &Path, text: &'a str, separator: u8) -> Result<Cow<'a, str>, ReadError> {
    let bytes = text.as_bytes();
    let mut tidied = String::new();
    let (mut copied, mut at, mut line) = (0, 0, 1);
    let broken = |line, problem| Err(ReadError::Quoting { at: Location::new(file, line), problem });
    while at < bytes.len() {
        // At the start of a field.
        let quote = past_blanks(bytes, at, separator);
        let quoted =
            bytes.get(quote) == Some(&b'"') && (quote == at || closes_on_its_line(bytes, quote, separator));
        if quoted {
            tidied.push_str(&text[copied..at]);
            let opened = line;
            let Some(end) = closing(bytes, quote) else { return broken(opened, "a quote is never closed") };
            tidied.push_str(&text[quote..=end]);
            line += bytes[quote..end].iter().filter(|&&byte| byte == b'\n').count() as u64;
            at = past_blanks(bytes, end + 1, separator);
            copied = at;
            if at < bytes.len() && !ends_field(bytes[at], separator) {
                return broken(opened, "text after a closing quote");
            }
        }
        while at < bytes.len() && !ends_field(bytes[at], separator) {
            at += 1;
        }
        line += u64::from(bytes.get(at) == Some(&b'\n'));
        at += 1;
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(text));
    }
    tidied.push_str(&text[copied..]);
    Ok(Cow::Owned(tidied))
}

/// The text of a field in a table whose lines are its rows: a quote that opens it counts only if one closes it.
pub(super) fn unquoted(field: &str) -> Cow<'_, str> {
    let inside = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inside {
        Some(inside) if !inside.replace("\"\"", "").contains('"') => Cow::Owned(inside.replace("\"\"", "\"")),
        _ => Cow::Borrowed(field),
    }
}

fn ends_field(byte: u8, separator: u8) -> bool {
    byte == separator || byte == b'\n' || byte == b'\r'
}

fn past_blanks(bytes: &[u8], mut at: usize, separator: u8) -> usize {
    while bytes.get(at).is_some_and(|&byte| (byte == b' ' || byte == b'\t') && byte != separator) {
        at += 1;
    }
    at
}

/// The quote that closes the field which opens at `quote`; a doubled one is a character.
fn closing(bytes: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    loop {
        at += bytes[at..].iter().position(|&byte| byte == b'"')?;
        if bytes.get(at + 1) != Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Whether a quote behind blanks opens a field: more than this line cannot be meant by it.
fn closes_on_its_line(bytes: &[u8], quote: usize, separator: u8) -> bool {
    let end = bytes[quote..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| quote + end);
    let line = &bytes[..end];
    closing(line, quote).is_some_and(|closing| {
        let after = past_blanks(line, closing + 1, separator);
        line.get(after).is_none_or(|&byte| ends_field(byte, separator))
    })
}
