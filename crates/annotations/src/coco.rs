//! Caption files in COCO's format (Chen et al. 2015).
//!
//! ```json
//! {"images": [{"id": 397133, "file_name": "000000397133.jpg"}],
//!  "annotations": [{"id": 370509, "image_id": 397133, "caption": "A man is in a kitchen making pizzas."}]}
//! ```

use serde::Deserialize;

use crate::{Captions, Id};

/// What [`Coco`] looks like, for messages.
pub const SHAPE: &str =
    r#"{"images": [{"id": 1, "file_name": "…"}], "annotations": [{"id": 1, "image_id": 1, "caption": "…"}]}"#;

/// The whole file; other keys are not read.
#[derive(Debug, Deserialize)]
pub struct Coco {
    /// References for scores may lack it.
    pub images: Option<Vec<Image>>,
    /// Test files, whose captions are kept back, lack it.
    pub annotations: Option<Vec<Annotation>>,
}

/// An image.
#[derive(Debug, Deserialize)]
pub struct Image {
    /// What annotations name it by.
    pub id: Id,
    /// Empty if it is not given.
    #[serde(default)]
    pub file_name: String,
}

/// What was said about an image.
#[derive(Debug, Deserialize)]
pub struct Annotation {
    /// Not of all programs.
    pub id: Option<Id>,
    /// The image's.
    pub image_id: Id,
    /// One sentence, as a rule.
    pub caption: Captions,
}
