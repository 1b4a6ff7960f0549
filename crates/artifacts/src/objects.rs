//! `dataset/objects.parquet`: the box of every object in the demo scenes, to measure where a model looks.

use arrow_schema::{DataType, Field};
use serde::{Deserialize, Serialize};

use crate::table::{Kind, Row};

/// File name in the dataset folder.
pub const FILE: &str = "objects.parquet";

/// One drawn object: what grounding is measured against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectRow {
    /// Id of the scene, as in `images/part-*.parquet`.
    pub image_id: String,
    /// What it is, as the captions name it.
    pub noun: String,
    /// Its colour, as the captions name it.
    pub color: String,
    /// Left edge in pixels.
    pub x0: f32,
    /// Top edge in pixels.
    pub y0: f32,
    /// Right edge in pixels.
    pub x1: f32,
    /// Bottom edge in pixels.
    pub y1: f32,
}

impl Row for ObjectRow {
    const KIND: Kind = Kind { name: "objects", version: 1, maker: "dataset" };

    fn fields() -> Vec<Field> {
        vec![
            Field::new("image_id", DataType::Utf8, false),
            Field::new("noun", DataType::Utf8, false),
            Field::new("color", DataType::Utf8, false),
            Field::new("x0", DataType::Float32, false),
            Field::new("y0", DataType::Float32, false),
            Field::new("x1", DataType::Float32, false),
            Field::new("y1", DataType::Float32, false),
        ]
    }
}
