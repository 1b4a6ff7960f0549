//! `dataset/images.parquet`: one row per image.

use std::path::{Path, PathBuf};

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;
use crate::split::Split;
use crate::table::{self, Kind, Row, TableError};

/// File name in the dataset folder.
pub const FILE: &str = "images.parquet";
const ROOT_KEY: &str = "captioning.root";

/// One image of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageRow {
    /// Unique name.
    pub image_id: String,
    /// Path relative to the dataset's root.
    pub path: String,
    /// Train, val or test.
    pub split: Split,
    /// Width in pixels, as shown (after EXIF orientation).
    pub width: u32,
    /// Height in pixels, as shown.
    pub height: u32,
    /// Hash of the file's bytes.
    pub content_hash: String,
}

impl Row for ImageRow {
    const KIND: Kind = Kind { name: "images", version: 1, maker: "dataset" };

    fn fields() -> Vec<Field> {
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("path", DataType::Utf8, false),
            Field::new("split", DataType::Utf8, false),
            Field::new("width", DataType::UInt32, false),
            Field::new("height", DataType::UInt32, false),
            Field::new("content_hash", DataType::Utf8, false),
        ]
    }
}

/// The images of a dataset and the folder that their paths start from.
pub struct Images {
    /// Folder that `ImageRow::path` is relative to.
    pub root: PathBuf,
    /// In dataset order.
    pub rows: Vec<ImageRow>,
}

impl Images {
    /// Reads `images.parquet` of a dataset folder.
    ///
    /// # Errors
    ///
    /// The table is not there, damaged, or of another schema version.
    pub fn read(folder: &Path) -> Result<Images, TableError> {
        let (rows, metadata) = table::read(&folder.join(FILE))?;
        let root = metadata.get(ROOT_KEY).cloned().unwrap_or_default();
        Ok(Images { root: PathBuf::from(root), rows })
    }

    /// Writes `images.parquet` into a dataset folder.
    ///
    /// # Errors
    ///
    /// The table cannot be written; an older one is untouched then.
    pub fn write(&self, folder: &Path, recipe: &Recipe) -> Result<(), TableError> {
        let root = self.root.to_string_lossy().into_owned();
        table::write(&folder.join(FILE), &self.rows, recipe, &[(ROOT_KEY, root)])
    }
}
