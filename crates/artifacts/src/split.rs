//! Which part of a dataset an image belongs to.

use serde::{Deserialize, Serialize};

/// Train, validation or test.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Fits the weights and the vocabulary.
    Train,
    /// Chooses the checkpoint and the settings.
    Val,
    /// Is looked at once, at the end.
    Test,
}

impl Split {
    /// All of them, in this order.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// The inverse of [`as_str`](Self::as_str); `None` for any other word.
    pub fn named(name: &str) -> Option<Split> {
        Split::ALL.into_iter().find(|split| split.as_str() == name)
    }

    /// The name used in files: `train`, `val` or `test`.
    pub fn as_str(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
