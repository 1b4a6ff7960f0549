//! One table of images and captions, whichever program wrote it.
//!
//! What the file holds decides, not its ending: JSON lines, a JSON list of rows, a JSON object of captions by image, fields
//! between commas, semicolons, tabs or bars under a header, or Flickr8k's `photo.jpg#0` before a caption. Columns are known
//! by their usual names, letter case and signs aside; what is left over is named in [`Table::unread`]. A row that does not
//! fit the header is counted in [`Table::odd`], never guessed at.

mod columns;
mod delimited;
mod json_rows;
mod numbered;
mod quoting;

use std::path::Path;

use crate::{Location, ReadError, text};

pub use columns::caption_columns;

/// The rows of a table.
#[derive(Debug, Default)]
pub struct Table {
    /// In file order.
    pub rows: Vec<Row>,
    /// Rows that do not fit the header, and why.
    pub odd: Vec<(Location, String)>,
    /// Names of the columns that were not read, in the order of the file.
    pub unread: Vec<String>,
}

/// One image, with the captions of this row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub at: Location,
    /// Path or id of the image, as written.
    pub image: String,
    /// Perhaps empty ones.
    pub captions: Vec<String>,
    /// `None` in tables without that column, and where the field is empty.
    pub split: Option<String>,
}

/// Reads the table `file`.
///
/// # Errors
/// A file that cannot be read, is no text, or has no header that names an image and a caption; broken quotes; JSON
/// that is no row.
pub fn read(file: &Path) -> Result<Table, ReadError> {
    parse(file, &text::read(file)?)
}

/// The table that the text of `file` holds.
///
/// # Errors
/// Those of [`read`], but for the file itself.
pub fn parse(file: &Path, text: &str) -> Result<Table, ReadError> {
    let mut table = match text.trim_start().as_bytes().first() {
        Some(b'{') if json_rows::is_one_object(text) => json_rows::object(file, text),
        Some(b'{') => json_rows::lines(file, text),
        Some(b'[') => json_rows::list(file, text),
        _ if numbered::begins(text) => numbered::parse(file, text),
        _ => delimited::parse(file, text),
    }?;
    numbered::tidy(&mut table.rows);
    Ok(table)
}

#[cfg(test)]
mod tests;
