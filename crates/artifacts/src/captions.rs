//! `dataset/captions/part-*.parquet`: one row per reference caption, as people wrote it.
//!
//! A part has the captions of the images of the part of the same number, in the order of the dataset.

use std::path::Path;

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::parts::Parts;
use crate::table::{Kind, Row, TableError};

/// Folder of the parts in the dataset folder.
pub const FOLDER: &str = "captions";

/// One caption of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptionRow {
    /// Id of the described image, as in `images/part-*.parquet`.
    pub image_id: String,
    /// Number of the caption in the dataset ([`caption_id`]).
    pub caption_id: u64,
    /// The sentence, white space trimmed.
    pub caption: String,
}

impl Row for CaptionRow {
    const KIND: Kind = Kind { name: "captions", version: 2, maker: "dataset" };

    fn fields() -> Vec<Field> {
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("caption_id", DataType::UInt64, false),
            Field::new("caption", DataType::Utf8, false),
        ]
    }
}

/// The id of caption `number` of part `part`, both counted from 0: parts that are made apart give no id twice.
pub fn caption_id(part: usize, number: usize) -> u64 {
    ((part as u64) << 32) | number as u64
}

/// Opens the captions of a finished dataset folder.
///
/// # Errors
/// The dataset is not finished.
pub fn open(dataset: &Path) -> Result<Parts<CaptionRow>, TableError> {
    Parts::open(dataset, FOLDER)
}
