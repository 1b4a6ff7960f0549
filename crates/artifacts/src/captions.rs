//! `dataset/captions.parquet`: one row per reference caption, as people wrote it.

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::table::{Kind, Row};

/// File name in the dataset folder.
pub const FILE: &str = "captions.parquet";

/// One caption of one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptionRow {
    /// Id of the described image, as in `images.parquet`.
    pub image_id: String,
    /// Number of the caption in the dataset, from 0.
    pub caption_id: u32,
    /// The sentence, white space trimmed.
    pub caption: String,
}

impl Row for CaptionRow {
    const KIND: Kind = Kind { name: "captions", version: 1, maker: "dataset" };

    fn fields() -> Vec<Field> {
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("caption_id", DataType::UInt32, false),
            Field::new("caption", DataType::Utf8, false),
        ]
    }
}
