//! `text/tokens.parquet`: every caption of the dataset as words, and as vocabulary ids.

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::split::Split;
use crate::table::{Kind, Row};

/// File name in the text folder.
pub const FILE: &str = "tokens.parquet";

/// One caption; ids are not padded: padding is the trainer's business.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Id of the described image, as in `images.parquet`.
    pub image_id: String,
    /// Number of the caption in the dataset.
    pub caption_id: u32,
    /// The image's split.
    pub split: Split,
    /// All its words, as metrics see them: lower case, without punctuation.
    pub words: Vec<String>,
    /// `<bos>`, the words up to the longest allowed length, `<eos>`; nothing for a caption without words.
    pub ids: Vec<u32>,
    /// Number of `ids`, so that batches can be planned without them.
    pub length: u32,
}

impl Row for TokenRow {
    const KIND: Kind = Kind { name: "tokens", version: 2, maker: "text" };

    fn fields() -> Vec<Field> {
        let id = Field::new("item", DataType::UInt32, false);
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("caption_id", DataType::UInt32, false),
            Field::new("split", DataType::Utf8, false),
            Field::new("words", DataType::List(Field::new("item", DataType::Utf8, false).into()), false),
            Field::new("ids", DataType::List(id.into()), false),
            Field::new("length", DataType::UInt32, false),
        ]
    }
}
