//! `text/tokens.parquet`: captions as vocabulary ids.

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::split::Split;
use crate::table::Row;

/// File name in the text folder.
pub const FILE: &str = "tokens.parquet";

/// One encoded caption, not padded: padding is the trainer's business.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenRow {
    /// The image it describes.
    pub image_id: String,
    /// Number of the caption in the dataset.
    pub caption_id: u32,
    /// The image's split.
    pub split: Split,
    /// `<bos>`, the words, `<eos>`.
    pub ids: Vec<u32>,
    /// Length of `ids`.
    pub length: u32,
}

impl Row for TokenRow {
    const KIND: &'static str = "tokens";
    const VERSION: u32 = 1;

    fn fields() -> Vec<Field> {
        let id = Field::new("item", DataType::UInt32, false);
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("caption_id", DataType::UInt32, false),
            Field::new("split", DataType::Utf8, false),
            Field::new("ids", DataType::List(id.into()), false),
            Field::new("length", DataType::UInt32, false),
        ]
    }
}
