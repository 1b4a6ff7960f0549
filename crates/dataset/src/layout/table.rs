//! One table of images and captions: the plain way to bring a dataset of one's own.
//!
//! A CSV file, or any other that [`annotations::table`] reads, has a header with `image`, `caption` and perhaps `split`, and
//! one row per caption. JSON has objects with the same keys, or `captions`, a list. Image paths are relative to the root.
//! Either every row names a split (train, val or test) or none does.
//!
//! The root may also be the folder that holds the table, or, as in Hugging Face's `imagefolder`, folders of splits that
//! hold one each; its `metadata.parquet` is a table too.

use std::path::{Path, PathBuf};

use annotations::table::{self, Table};
use artifacts::Split;

use super::collect::Collector;
use super::{LayoutError, RawDataset, files, folder_of, parquet_table, split_name};

const ENDINGS: [&str; 5] = ["csv", "tsv", "jsonl", "ndjson", "tab"];

/// Reads the table `file`, or those in the folder `file`; image paths start from `root`, by default the table's own folder.
///
/// # Errors
/// A missing or unknown column, a path that leaves the root, an unknown split, and an image in two splits are refused
/// with their place.
pub fn read(file: &Path, root: Option<&Path>) -> Result<RawDataset, LayoutError> {
    if !file.is_dir() {
        let mut collector = Collector::new(root.unwrap_or(folder_of(file)))?;
        read_rows(file, Path::new(""), None, &mut collector)?;
        return collector.finish();
    }
    let file = &files::innermost(file);
    let mut collector = Collector::new(root.unwrap_or(file))?;
    if let Some(table) = table_in(file)? {
        read_rows(&table, Path::new(""), None, &mut collector)?;
        return collector.finish();
    }
    collector.expect_splits();
    let tables = tables_of_splits(file)?;
    if tables.is_empty() {
        let names = ENDINGS.map(|ending| format!("*.{ending}")).join(", ") + ", " + parquet_table::NAME;
        return Err(LayoutError::NotFound { root: file.to_owned(), what: "table", names });
    }
    for (table, folder, split) in tables {
        read_rows(&table, &folder, Some(split), &mut collector)?;
    }
    collector.finish()
}

/// Feeds the rows of the table `file`, its paths relative to `folder`; all of them in `split`, if it is given.
pub(super) fn read_rows(
    file: &Path,
    folder: &Path,
    split: Option<Split>,
    collector: &mut Collector,
) -> Result<(), LayoutError> {
    let is_parquet = files::ending(file) == "parquet";
    let read = if is_parquet { parquet_table::read(file)? } else { table::read(file)? };
    let Table { rows, odd, unread } = read;
    let splits_given = rows.first().is_some_and(|row| row.split.is_some());
    if splits_given {
        collector.expect_splits();
    }
    for row in rows {
        let image = collector.image(&row.at, folder, &row.image)?;
        if row.split.is_some() != splits_given {
            return Err(LayoutError::SomeSplits { at: row.at });
        }
        let named = row.split.map(|name| split_name::parse(&row.at, &name)).transpose()?;
        if let Some(split) = named.or(split) {
            collector.split(&row.at, image, split)?;
        }
        for caption in &row.captions {
            collector.caption(&row.at, image, caption);
        }
    }
    for (at, reason) in odd {
        collector.skip_row(at.to_string(), &reason);
    }
    if !unread.is_empty() {
        let reason = format!("columns that are not read: {}", unread.join(", "));
        collector.note(file.display().to_string(), reason);
    }
    collector.source(file);
    Ok(())
}

/// The only table in `folder` itself.
fn table_in(folder: &Path) -> Result<Option<PathBuf>, LayoutError> {
    let tables = files::of_ending(folder, &ENDINGS)?;
    match tables.as_slice() {
        [] => Ok(Some(folder.join(parquet_table::NAME)).filter(|table| table.is_file())),
        [table] => Ok(Some(folder.join(table))),
        several => Err(LayoutError::several(folder, several)),
    }
}

/// The tables in the folders of splits, each with its folder below `root`.
fn tables_of_splits(root: &Path) -> Result<Vec<(PathBuf, PathBuf, Split)>, LayoutError> {
    let mut tables = Vec::new();
    for (folder, split) in split_name::folders(root)? {
        if let Some(table) = table_in(&root.join(&folder))? {
            tables.push((table, folder, split));
        }
    }
    Ok(tables)
}
