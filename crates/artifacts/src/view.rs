//! How much of an image the backbone is shown, and how.

use serde::{Deserialize, Serialize};

/// A view of an image. Each is cached as a set of features of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum View {
    /// The middle square at the size that the backbone was trained with.
    #[default]
    #[serde(alias = "center")]
    Centre,
    /// The whole image, squeezed into the square.
    Squash,
    /// The middle square, mirrored left to right.
    Flip,
    /// The middle square a third larger, which gives a finer grid.
    Large,
}

impl View {
    /// The name used in configs and files.
    pub fn as_str(self) -> &'static str {
        match self {
            View::Centre => "centre",
            View::Squash => "squash",
            View::Flip => "flip",
            View::Large => "large",
        }
    }
}
