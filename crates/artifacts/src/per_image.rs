//! `per_image.parquet`: every generated caption with its own scores.

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::table::Row;

/// File name in the evaluation folder.
pub const FILE: &str = "per_image.parquet";

/// One image of the evaluated split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerImageRow {
    /// The image.
    pub image_id: String,
    /// The generated sentence.
    pub caption: String,
    /// Sum of the log-probabilities of its tokens.
    pub log_probability: f64,
    /// Whether the search ended it with `<eos>` (otherwise it was cut at the longest allowed length).
    pub finished: bool,
    /// Sentence BLEU-1.
    pub bleu_1: f64,
    /// Sentence BLEU-4.
    pub bleu_4: f64,
    /// ROUGE-L.
    pub rouge_l: f64,
    /// CIDEr-D.
    pub cider_d: f64,
    /// The captions people wrote.
    pub references: Vec<String>,
}

impl Row for PerImageRow {
    const KIND: &'static str = "per_image";
    const VERSION: u32 = 1;

    fn fields() -> Vec<Field> {
        let score = |name| Field::new(name, DataType::Float64, false);
        let reference = Field::new("item", DataType::Utf8, false);
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("caption", DataType::Utf8, false),
            score("log_probability"),
            Field::new("finished", DataType::Boolean, false),
            score("bleu_1"),
            score("bleu_4"),
            score("rouge_l"),
            score("cider_d"),
            Field::new("references", DataType::List(reference.into()), false),
        ]
    }
}
