//! Fields between separators, under a header.

use std::borrow::Cow;
use std::path::Path;

use super::columns::Columns;
use super::{Row, Table, quoting};
use crate::{Location, ReadError};

/// What may stand between fields. A table between bars has a row per line, and quotes there are characters (Flickr30k).
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
const BAR: u8 = b'|';

/// The table in `text`, by the separator under which its first line names an image and a caption.
pub(super) fn parse(file: &Path, text: &str) -> Result<Table, ReadError> {
    if text.trim().is_empty() {
        return Err(ReadError::Columns { file: file.to_owned(), problem: "it is empty".to_owned() });
    }
    let (text, skipped) = without_hint(text);
    let first = text.lines().find(|line| !line.is_empty()).unwrap_or_default();
    let mut problems = Vec::new();
    for separator in SEPARATORS {
        let fields = reader(first, separator).into_records().next().and_then(Result::ok).unwrap_or_default();
        let header: Vec<&str> = fields.iter().collect();
        match Columns::of(&header) {
            Ok(_) => return rows(file, text, skipped, separator),
            Err(problem) => problems.push((header.len(), problem)),
        }
    }
    // Of the separator that parts the line into most, the plain comma where none does.
    let most = problems.into_iter().rev().max_by_key(|(fields, _)| *fields);
    let problem = most.map_or_else(String::new, |(_, problem)| problem);
    Err(ReadError::Columns { file: file.to_owned(), problem })
}

/// The text after `sep=;`, the line by which Excel is told the separator, and the lines that it took.
fn without_hint(text: &str) -> (&str, u64) {
    match text.split_once('\n') {
        Some((hint, rest)) if hint.trim_end().len() == 5 && hint.to_ascii_lowercase().starts_with("sep=") => {
            (rest, 1)
        }
        _ => (text, 0),
    }
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator).quoting(separator != BAR);
    builder.from_reader(text.as_bytes())
}

fn rows(file: &Path, text: &str, skipped: u64, separator: u8) -> Result<Table, ReadError> {
    let text = if separator == BAR { Cow::Borrowed(text) } else { quoting::tidy(file, text, separator)? };
    let failed = |source| ReadError::Csv { file: file.to_owned(), source };
    let field = |field: &str| -> String {
        if separator == BAR { quoting::unquoted(field.trim()).into_owned() } else { field.to_owned() }
    };
    let mut records = reader(&text, separator).into_records();
    // It may go on behind the first line.
    let header = records.next().transpose().map_err(failed)?.unwrap_or_default();
    let header: Vec<&str> = header.iter().collect();
    let columns =
        Columns::of(&header).map_err(|problem| ReadError::Columns { file: file.to_owned(), problem })?;
    let width = header.len();
    let mut table = Table { unread: columns.unread(&header), ..Table::default() };
    let mut lines = Lines { text: &text, at: 0, line: 1 + skipped };
    for record in records {
        let record = record.map_err(failed)?;
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        let start = record.position().map_or(0, |position| position.byte() as usize);
        let at = Location::new(file, lines.of(start));
        // Spreadsheets end rows with empty fields.
        let filled =
            (0..record.len()).rev().find(|&last| !record[last].trim().is_empty()).map_or(0, |last| last + 1);
        if record.len() < width || filled > width {
            let problem = format!(
                "{} fields under {width} columns; {}",
                record.len(),
                advice(separator, record.len() > width)
            );
            table.odd.push((at, problem));
            continue;
        }
        let captions = columns.captions.iter().map(|&column| field(&record[column]));
        let split = columns.split.map(|column| field(&record[column]).trim().to_owned());
        table.rows.push(Row {
            at,
            image: field(&record[columns.image]),
            captions: side_by_side(captions.collect()),
            split: split.filter(|split| !split.is_empty()),
        });
    }
    Ok(table)
}

fn advice(separator: u8, more: bool) -> &'static str {
    match (separator, more) {
        (_, false) => "a separator is missing",
        (b',', true) => "put captions that hold commas in double quotes",
        (BAR, true) => "a caption may hold no bar",
        (_, true) => "put captions that hold the separator in double quotes",
    }
}

/// A field that holds a list, in JSON (Hugging Face's Flickr30k) or as Python prints it (pandas), is its sentences. Of captions
/// side by side, the empty fields are only those that an image has too few of.
fn side_by_side(fields: Vec<String>) -> Vec<String> {
    // JSON5 knows the quotes and escapes of both.
    let list = |field: &String| match field.trim_start().starts_with('[') {
        true => json5::from_str::<Vec<String>>(field).ok(),
        false => None,
    };
    if fields.len() == 1 {
        return list(&fields[0]).unwrap_or(fields);
    }
    let filled = fields.iter().any(|field| !field.trim().is_empty());
    fields.into_iter().filter(|field| !filled || !field.trim().is_empty()).collect()
}

/// Line numbers of rising offsets, as editors count them.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the row at `start`; a row begins behind the end of the last, which may be two bytes.
    fn of(&mut self, start: usize) -> u64 {
        let bytes = self.text.as_bytes();
        let breaks = bytes[start.min(bytes.len())..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let start = (start + breaks.count()).min(bytes.len());
        self.line += bytes[self.at..start].iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.at = start;
        self.line
    }
}
