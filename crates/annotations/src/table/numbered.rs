//! Flickr8k's own form: `photo.jpg#0`, a tab and the caption, one line each.

use std::path::Path;

use super::{Row, Table};
use crate::{Location, ReadError, text};

/// Whether the first line is of this form.
pub(super) fn begins(text: &str) -> bool {
    text::lines(text).next().is_some_and(|(_, line)| fields(line).is_some())
}

/// The captions of all lines.
pub(super) fn parse(file: &Path, text: &str) -> Result<Table, ReadError> {
    let mut table = Table::default();
    for (line, row) in text::lines(text) {
        let at = Location::new(file, line);
        let Some((image, caption)) = fields(row) else { return Err(ReadError::Numbered { at }) };
        table.rows.push(Row { at, image: image.to_owned(), captions: vec![caption.to_owned()], split: None });
    }
    Ok(table)
}

/// Takes the numbers of captions from the names of images, if all rows have them: tables made of such a file keep them.
pub(super) fn tidy(rows: &mut [Row]) {
    // A name without an ending may be an image's, number and all.
    let file = |row: &Row| image(&row.image).filter(|name| name.contains('.')).map(str::to_owned);
    if let Some(names) = rows.iter().map(file).collect::<Option<Vec<String>>>() {
        rows.iter_mut().zip(names).for_each(|(row, name)| row.image = name);
    }
}

/// The image and its caption.
fn fields(line: &str) -> Option<(&str, &str)> {
    let (key, caption) = line.split_once('\t')?;
    image(key).map(|image| (image, caption))
}

/// The image in `photo.jpg#0`.
fn image(key: &str) -> Option<&str> {
    let (image, number) = key.rsplit_once('#')?;
    number.trim().parse::<u32>().ok().map(|_| image)
}
