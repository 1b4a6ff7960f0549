//! One table of images and captions: the plain way to bring a dataset of one's own.
//!
//! `.csv` has a header with `image`, `caption` and perhaps `split`, and one row per caption. `.jsonl` has one object per
//! line with the same keys, or `captions`, a list, instead of `caption`. Image paths are relative to the root. Either
//! every row names a split (train, val or test) or none does.

use std::path::Path;

use artifacts::Split;
use serde::Deserialize;

use super::collect::Collector;
use super::{LayoutError, Location, RawDataset, csv_rows, folder_of, text};

/// Reads the table `file`; its image paths start from `root`, by default the file's own folder.
///
/// # Errors
/// A missing or unknown column, a malformed row, a path that leaves the root, an unknown split, and an image in two
/// splits are refused with their place.
pub fn read(file: &Path, root: Option<&Path>) -> Result<RawDataset, LayoutError> {
    let extension = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let rows = match extension.as_str() {
        "csv" => csv_table(file)?,
        "jsonl" => json_lines(file)?,
        _ => return Err(LayoutError::UnknownFormat { file: file.to_owned() }),
    };

    let mut collector = Collector::new(root.unwrap_or(folder_of(file)))?;
    let splits_given = rows.first().is_some_and(|row| row.split.is_some());
    if splits_given {
        collector.expect_splits();
    }
    for row in rows {
        let at = Location::new(file, row.line);
        let image = collector.image(&at, Path::new(""), &row.image)?;
        if row.split.is_some() != splits_given {
            return Err(LayoutError::SomeSplits { at });
        }
        if let Some(name) = row.split {
            let split = parse_split(&at, &name)?;
            collector.split(&at, image, split)?;
        }
        for caption in &row.captions {
            collector.caption(&at, image, caption);
        }
    }
    collector.source(file);
    collector.finish()
}

struct Row {
    line: u64,
    image: String,
    captions: Vec<String>,
    split: Option<String>,
}

fn csv_table(file: &Path) -> Result<Vec<Row>, LayoutError> {
    let row =
        |csv_rows::Row { line, image, caption, split }| Row { line, image, captions: vec![caption], split };
    Ok(csv_rows::read(file, true)?.into_iter().map(row).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRow {
    image: String,
    caption: Option<String>,
    captions: Option<Vec<String>>,
    split: Option<String>,
}

fn json_lines(file: &Path) -> Result<Vec<Row>, LayoutError> {
    let row = |(line, json)| {
        let at = Location::new(file, line);
        match serde_json::from_str(json) {
            Ok(JsonRow { image, caption: Some(caption), captions: None, split }) => {
                Ok(Row { line, image, captions: vec![caption], split })
            }
            Ok(JsonRow { image, caption: None, captions: Some(captions), split }) => {
                Ok(Row { line, image, captions, split })
            }
            Ok(_) => Err(LayoutError::CaptionKeys { at }),
            Err(source) => Err(LayoutError::Json { at, source }),
        }
    };
    text::lines(&text::read(file)?).map(row).collect()
}

fn parse_split(at: &Location, name: &str) -> Result<Split, LayoutError> {
    let splits = [Split::Train, Split::Val, Split::Test];
    let known = splits.into_iter().find(|split| split.as_str() == name);
    known.ok_or_else(|| LayoutError::UnknownSplit {
        at: at.clone(),
        name: name.to_owned(),
        known: "train, val or test",
    })
}
