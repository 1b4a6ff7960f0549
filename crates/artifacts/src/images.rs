//! `dataset/images/part-*.parquet`: one row per image.

use std::path::Path;

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::locator::{Locator, Within};
use crate::parts::Parts;
use crate::recipe::Recipe;
use crate::split::Split;
use crate::table::{self, Kind, Row, TableError};

/// Folder of the parts in the dataset folder.
pub const FOLDER: &str = "images";
const ROOT_KEY: &str = "captioning.root";

/// One image of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageRow {
    /// Unique name.
    pub image_id: String,
    /// The file that holds it, relative to the dataset's root.
    pub path: String,
    /// Of a member of an archive: where its bytes begin in the file.
    pub offset: Option<u64>,
    /// Of a member of an archive: how many they are.
    pub length: Option<u64>,
    /// Of an image in a Parquet file: its row there, counted from 0.
    pub row: Option<u64>,
    /// Train, val or test.
    pub split: Split,
    /// Width in pixels, as shown (after EXIF orientation).
    pub width: u32,
    /// Height in pixels, as shown.
    pub height: u32,
    /// Hash of the image's bytes.
    pub content_hash: String,
}

impl ImageRow {
    /// Where its bytes lie.
    pub fn locator(&self) -> Locator {
        let within = match (self.offset, self.length, self.row) {
            (Some(offset), Some(length), _) => Within::Bytes { offset, length },
            (_, _, Some(row)) => Within::Row(row),
            _ => Within::Whole,
        };
        Locator { path: self.path.clone(), within }
    }

    /// The same image elsewhere.
    pub fn at(self, locator: Locator) -> ImageRow {
        let (offset, length, row) = match locator.within {
            Within::Whole => (None, None, None),
            Within::Bytes { offset, length } => (Some(offset), Some(length), None),
            Within::Row(row) => (None, None, Some(row)),
        };
        ImageRow { path: locator.path, offset, length, row, ..self }
    }
}

impl Row for ImageRow {
    const KIND: Kind = Kind { name: "images", version: 2, maker: "dataset" };

    fn fields() -> Vec<Field> {
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("path", DataType::Utf8, false),
            Field::new("offset", DataType::UInt64, true),
            Field::new("length", DataType::UInt64, true),
            Field::new("row", DataType::UInt64, true),
            Field::new("split", DataType::Utf8, false),
            Field::new("width", DataType::UInt32, false),
            Field::new("height", DataType::UInt32, false),
            Field::new("content_hash", DataType::Utf8, false),
        ]
    }
}

/// The images of a dataset and the place that their paths start from.
pub struct Images {
    /// The folder or address that `ImageRow::path` is relative to.
    pub root: String,
    /// In dataset order.
    pub parts: Parts<ImageRow>,
}

impl Images {
    /// Opens the images of a finished dataset folder.
    ///
    /// # Errors
    /// The dataset is not finished, or its first part damaged or of another schema version.
    pub fn open(dataset: &Path) -> Result<Images, TableError> {
        let parts = Parts::open(dataset, FOLDER)?;
        let root = parts.metadata()?.remove(ROOT_KEY).unwrap_or_default();
        Ok(Images { root, parts })
    }

    /// Writes one part, `file` being its name in the dataset folder; `extra` goes into its footer.
    ///
    /// # Errors
    /// The file cannot be written; an older one is untouched then.
    pub fn write_part(
        dataset: &Path,
        file: &str,
        root: &str,
        rows: &[ImageRow],
        recipe: &Recipe,
        extra: &[(&str, String)],
    ) -> Result<(), TableError> {
        let mut footer = vec![(ROOT_KEY, root.to_owned())];
        footer.extend_from_slice(extra);
        table::write(&dataset.join(file), rows, recipe, &footer)
    }
}
