//! A network of others as the config describes it: `[preprocess.onnx]`.

use std::path::PathBuf;

use artifacts::features::Layout;
use serde::{Deserialize, Serialize};

/// Longest name, which becomes part of names of folders.
const LONGEST: usize = 64;

/// A network of others in an ONNX file: what it is shown, and where in its outputs the grid is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct OnnxNetwork {
    /// Name of its set of features, as in features/dinov2_s14: letters, digits, "_" and "-".
    pub name: String,
    /// The file, with all weights inside. Left empty, it is `NAME.onnx` in the folder run.weights, where `caption` looks for it too.
    pub file: PathBuf,
    /// The output that holds the grid. May be left empty where there is only one.
    pub output: String,
    /// How the regions of an image lie in the output.
    pub regions: Layout,
    /// Tokens before the regions that are none: 1 for a class token, 5 for one and four registers.
    pub drop_tokens: usize,
    /// Rows and columns of the tokens. Left empty, they are a square.
    pub grid: Vec<usize>,
    /// The shorter side of an image after resizing, in pixels.
    pub resize: u32,
    /// Side of the square in the middle that the network is shown, in pixels.
    pub crop: u32,
    /// Squeezes the whole image into the square instead.
    pub squash: bool,
    /// The resizing kernel, as Pillow defines it: "bilinear" or "bicubic".
    pub interpolation: String,
    /// Subtracted from red, green and blue, in pixel values from 0 to 255. The default is the mean of ImageNet.
    pub mean: [f64; 3],
    /// Divides red, green and blue, in pixel values. The default is the deviation of ImageNet.
    pub std: [f64; 3],
}

impl Default for OnnxNetwork {
    fn default() -> Self {
        OnnxNetwork {
            name: String::new(),
            file: PathBuf::new(),
            output: String::new(),
            regions: Layout::ChannelsFirst,
            drop_tokens: 0,
            grid: vec![],
            resize: 256,
            crop: 224,
            squash: false,
            interpolation: "bicubic".to_owned(),
            mean: [123.675, 116.28, 103.53],
            std: [58.395, 57.12, 57.375],
        }
    }
}

impl OnnxNetwork {
    /// The first key whose value makes no sense, with what would.
    pub(crate) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let tokens = self.regions == Layout::Tokens;
        let grid = matches!(*self.grid, [] | [_, _]) && !self.grid.contains(&0);
        let problems = [
            (
                !is_plain(&self.name),
                "onnx.name",
                "give the network a name of letters, digits, `_` and `-`, at most 64: its features lie in a folder of that name",
            ),
            (
                self.drop_tokens > 0 && !tokens,
                "onnx.drop_tokens",
                "must be 0 unless preprocess.onnx.regions = \"tokens\"",
            ),
            (
                !grid || !self.grid.is_empty() && !tokens,
                "onnx.grid",
                "write [rows, columns] of the tokens, or leave it empty",
            ),
        ];
        problems.into_iter().find(|problem| problem.0).map(|(_, key, reason)| (key, reason))
    }
}

/// Whether a name says nothing but itself: no path, and no set of tuned weights or of another view.
fn is_plain(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    name.len() <= LONGEST
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["dinov2_s14", "ViT-B", "7"] {
            assert!(is_plain(name), "{name}");
        }
        let long = "a".repeat(LONGEST + 1);
        for name in ["", "a/b", "..", "a\\b", "a.tuned", "-a", "_", "ä", "a b", "a+b", long.as_str()] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn what_does_not_suit_the_layout_is_refused() {
        let network = OnnxNetwork { name: "a".to_owned(), ..OnnxNetwork::default() };
        let key = |network: OnnxNetwork| network.problem().map(|(key, _)| key);
        assert_eq!(key(network.clone()), None);
        assert_eq!(key(OnnxNetwork { drop_tokens: 1, ..network.clone() }), Some("onnx.drop_tokens"));
        assert_eq!(key(OnnxNetwork { grid: vec![2, 3], ..network.clone() }), Some("onnx.grid"));
        let tokens = OnnxNetwork { regions: Layout::Tokens, drop_tokens: 1, ..network };
        assert_eq!(key(OnnxNetwork { grid: vec![2, 3], ..tokens.clone() }), None);
        for grid in [vec![4], vec![0, 4], vec![2, 2, 2]] {
            assert_eq!(key(OnnxNetwork { grid, ..tokens.clone() }), Some("onnx.grid"));
        }
    }
}
