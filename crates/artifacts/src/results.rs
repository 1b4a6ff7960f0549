//! `captions.json`: generated captions in the results format of the COCO caption evaluation.

use serde::{Deserialize, Serialize};

/// File name in the evaluation folder.
pub const FILE: &str = "captions.json";

/// One generated caption; the file is a JSON list of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptionResult {
    /// As in `images/part-*.parquet`.
    pub image_id: String,
    /// The generated sentence.
    pub caption: String,
}
