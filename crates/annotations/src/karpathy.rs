//! Karpathy's splits of COCO, Flickr8k and Flickr30k (Karpathy and Fei-Fei 2015).
//!
//! ```json
//! {"images": [{"filepath": "val2014", "filename": "COCO_val2014_000000391895.jpg", "imgid": 0, "cocoid": 391895,
//!              "split": "test", "sentences": [{"raw": "A man with a red helmet on a small moped."}]}]}
//! ```

use serde::Deserialize;

use crate::{Captions, Id};

/// What [`Karpathy`] looks like, for messages.
pub const SHAPE: &str =
    r#"{"images": [{"filename": "…", "imgid": 0, "split": "train", "sentences": [{"raw": "…"}]}]}"#;

/// The whole file; other keys are not read.
#[derive(Debug, Deserialize)]
pub struct Karpathy {
    /// In file order.
    pub images: Vec<Image>,
}

/// An image with its sentences.
#[derive(Debug, Deserialize)]
pub struct Image {
    /// The folder of the image; COCO's alone.
    #[serde(default)]
    pub filepath: String,
    /// The image's file.
    pub filename: String,
    /// Its number in the file; not of all programs.
    pub imgid: Option<Id>,
    /// COCO's id, which results are named by.
    pub cocoid: Option<Id>,
    /// `None` in files without splits.
    pub split: Option<String>,
    /// Words come from `raw`, and from `tokens` where that is not there.
    pub sentences: Captions,
}
