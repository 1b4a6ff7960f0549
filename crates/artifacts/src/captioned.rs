//! The captions of one's own photos and videos, as the `caption` program writes them into a table.

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::table::{Kind, Row};

/// One caption of a photo, or of a shot of a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptionedRow {
    /// The file as it was named.
    pub path: String,
    /// When the shot begins, in seconds; nothing for photos.
    pub start: Option<f64>,
    /// When the shot ends.
    pub end: Option<f64>,
    /// 1 for the best caption, 2 for the next.
    pub rank: u32,
    /// As the model wrote it.
    pub caption: String,
    /// Sum of the natural log-probabilities of its tokens.
    pub log_probability: f64,
}

impl Row for CaptionedRow {
    const KIND: Kind = Kind { name: "captioned", version: 1, maker: "caption" };

    fn fields() -> Vec<Field> {
        vec![
            Field::new("path", DataType::Utf8, false),
            Field::new("start", DataType::Float64, true),
            Field::new("end", DataType::Float64, true),
            Field::new("rank", DataType::UInt32, false),
            Field::new("caption", DataType::Utf8, false),
            Field::new("log_probability", DataType::Float64, false),
        ]
    }
}
