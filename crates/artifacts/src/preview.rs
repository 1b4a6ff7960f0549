//! What a dataset will hold, known from its text files alone: enough to refuse, before any image is read, values that no
//! later stage could use.

use std::path::Path;

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;
use crate::split::Split;
use crate::table::{self, Kind, Row, TableError};

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

/// The captions to come, in dataset order.
pub struct Preview(pub Vec<PreviewRow>);

impl Preview {
    /// Reads a preview file.
    ///
    /// # Errors
    /// When the file is not there or is none.
    pub fn read(path: &Path) -> Result<Preview, TableError> {
        Ok(Preview(table::read(path)?.0))
    }

    /// Writes it as one file.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn write(&self, path: &Path, recipe: &Recipe) -> Result<(), TableError> {
        table::write(path, &self.0, recipe, &[])
    }

    /// The captions of a split.
    pub fn captions(&self, split: Split) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |row| row.split == split).map(|row| row.caption.as_str())
    }
}
