//! `text/tokens/part-*.parquet`: every caption of the dataset as words, and as vocabulary ids; a part for each of the dataset's.

use std::path::Path;

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::parts::Parts;
use crate::split::Split;
use crate::table::{Kind, Row, TableError};

/// Folder of the parts in the text folder.
pub const FOLDER: &str = "tokens";

/// One caption; ids are not padded: padding is the trainer's business.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Id of the described image, as in `images/part-*.parquet`.
    pub image_id: String,
    /// Number of the caption in the dataset.
    pub caption_id: u64,
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
    const KIND: Kind = Kind { name: "tokens", version: 3, maker: "text" };

    fn fields() -> Vec<Field> {
        let id = Field::new("item", DataType::UInt32, false);
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("caption_id", DataType::UInt64, false),
            Field::new("split", DataType::Utf8, false),
            Field::new("words", DataType::List(Field::new("item", DataType::Utf8, false).into()), false),
            Field::new("ids", DataType::List(id.into()), false),
            Field::new("length", DataType::UInt32, false),
        ]
    }
}

/// Opens the captions of a finished text folder.
///
/// # Errors
/// The text stage is not finished.
pub fn open(text: &Path) -> Result<Parts<TokenRow>, TableError> {
    Parts::open(text, FOLDER)
}
