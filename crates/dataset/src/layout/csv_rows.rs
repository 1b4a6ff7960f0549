//! CSV with a header, strict where the usual parsers guess.
//!
//! A forgotten closing quote makes a lenient parser swallow rows up to the next quote, and an unquoted comma cuts a
//! caption short. Both are refused here, because the rows that they damage still look like captions.

use std::path::Path;

use super::{LayoutError, Location, text};

/// One row, white space around its fields trimmed.
pub(super) struct Row {
    /// Where it starts, from 1.
    pub(super) line: u64,
    /// Path of the image, as written.
    pub(super) image: String,
    /// Perhaps empty.
    pub(super) caption: String,
    /// The column `split`; `None` in all rows of a file without it.
    pub(super) split: Option<String>,
}

/// The rows of `file`, whose header names `image`, `caption` and, where `split_column` allows it, `split`, in any order.
pub(super) fn read(file: &Path, split_column: bool) -> Result<Vec<Row>, LayoutError> {
    let text = text::read(file)?;
    check_quotes(file, &text)?;
    let failed = |source| LayoutError::Csv { file: file.to_owned(), source };
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());

    let header = reader.headers().map_err(failed)?.clone();
    let column = |name| header.iter().position(|field| field == name);
    let (image, caption, split) = (column("image"), column("caption"), column("split"));
    let known = 2 + usize::from(split_column && split.is_some());
    let (Some(image), Some(caption), true) = (image, caption, header.len() == known) else {
        let wanted = if split_column { "image,caption or image,caption,split" } else { "image,caption" };
        let found = header.iter().collect::<Vec<_>>().join(",");
        return Err(LayoutError::Columns { file: file.to_owned(), wanted: wanted.to_owned(), found });
    };

    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            let at = Location::new(file, line);
            return Err(LayoutError::Fields { at, found: record.len(), wanted: header.len() });
        }
        let split = split.map(|split| record[split].to_owned());
        rows.push(Row { line, image: record[image].to_owned(), caption: record[caption].to_owned(), split });
    }
    Ok(rows)
}

/// Refuses quoted fields that never end or go on after their closing quote (RFC 4180, section 2).
///
/// A quote inside an unquoted field is an ordinary character, as in Python's and Excel's readers.
fn check_quotes(file: &Path, text: &str) -> Result<(), LayoutError> {
    enum State {
        Start,
        Plain,
        Quoted,
        Closing,
    }
    let mut state = State::Start;
    let mut line = 1;
    let mut opened = 1;
    let broken = |line, problem| Err(LayoutError::Quoting { at: Location::new(file, line), problem });
    for byte in text.bytes() {
        state = match (state, byte) {
            (State::Start, b'"') => {
                opened = line;
                State::Quoted
            }
            (State::Quoted, b'"') => State::Closing,
            (State::Closing, b'"') | (State::Quoted, _) => State::Quoted,
            (_, b',' | b'\n' | b'\r') => State::Start,
            (State::Closing, _) => return broken(opened, "text after a closing quote"),
            (State::Start | State::Plain, _) => State::Plain,
        };
        line += u64::from(byte == b'\n');
    }
    match state {
        State::Quoted => broken(opened, "a quote is never closed"),
        _ => Ok(()),
    }
}
