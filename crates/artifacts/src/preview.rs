//! What a dataset will hold, known from its text files alone: enough to refuse, before any image is read, values that no
//! later stage could use.

use std::path::Path;

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;
use crate::split::Split;
use crate::table::{self, Kind, Row, TableError};

/// Footer entry of a preview that knows nothing.
const UNKNOWN_KEY: &str = "captioning.unknown";

/// One caption to come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreviewRow {
    /// Id of the described image.
    pub image_id: String,
    /// The split that the image will have.
    pub split: Split,
    /// As people wrote it.
    pub caption: String,
}

impl Row for PreviewRow {
    const KIND: Kind = Kind { name: "preview", version: 1, maker: "dataset preview" };

    fn fields() -> Vec<Field> {
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("split", DataType::Utf8, false),
            Field::new("caption", DataType::Utf8, false),
        ]
    }
}

/// The captions to come.
pub enum Preview {
    /// All of them, in dataset order.
    Known(Vec<PreviewRow>),
    /// Only reading the dataset's shards would tell.
    Unknown,
}

impl Preview {
    /// Reads a preview file.
    ///
    /// # Errors
    /// When the file is not there or is none.
    pub fn read(path: &Path) -> Result<Preview, TableError> {
        let (rows, metadata) = table::read(path)?;
        Ok(if metadata.contains_key(UNKNOWN_KEY) { Preview::Unknown } else { Preview::Known(rows) })
    }

    /// Writes it as one file.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn write(&self, path: &Path, recipe: &Recipe) -> Result<(), TableError> {
        match self {
            Preview::Known(rows) => table::write(path, rows, recipe, &[]),
            Preview::Unknown => {
                table::write::<PreviewRow>(path, &[], recipe, &[(UNKNOWN_KEY, String::new())])
            }
        }
    }

    /// Whether there is something to foresee.
    pub fn is_known(&self) -> bool {
        matches!(self, Preview::Known(_))
    }

    /// The captions of a split, as far as they are known.
    pub fn captions(&self, split: Split) -> impl Iterator<Item = &str> {
        let rows = match self {
            Preview::Known(rows) => rows.as_slice(),
            Preview::Unknown => &[],
        };
        rows.iter().filter(move |row| row.split == split).map(|row| row.caption.as_str())
    }
}
