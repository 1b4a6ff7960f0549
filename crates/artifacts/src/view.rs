//! How much of an image the backbone is shown, and how.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A view of an image: the middle square at the size that the backbone was trained with, unless its name says otherwise.
/// Each view is cached as a set of features of its own.
///
/// A name is `centre`, or any of `squash`, `large` and `flip` in this order, joined by `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct View {
    /// The whole image, squeezed into the square.
    pub squash: bool,
    /// A third larger, which gives a finer grid.
    pub large: bool,
    /// Mirrored left to right.
    pub flip: bool,
}

/// Not the name of a view.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no view is named `{0}`: write centre, or some of squash, large, flip in this order, joined by `-`")]
pub struct UnknownView(String);

impl View {
    /// The same view, seen in a mirror.
    pub fn mirrored(self) -> View {
        View { flip: !self.flip, ..self }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.squash, "squash"), (self.large, "large"), (self.flip, "flip")];
        let names: Vec<&str> = parts.iter().filter(|part| part.0).map(|part| part.1).collect();
        f.write_str(if names.is_empty() { "centre".to_owned() } else { names.join("-") }.as_str())
    }
}

impl FromStr for View {
    type Err = UnknownView;

    fn from_str(name: &str) -> Result<View, UnknownView> {
        if name == "center" {
            return Ok(View::default());
        }
        let has = |part: &str| name.split('-').any(|found| found == part);
        let view = View { squash: has("squash"), large: has("large"), flip: has("flip") };
        (view.to_string() == name).then_some(view).ok_or_else(|| UnknownView(name.to_owned()))
    }
}

impl TryFrom<String> for View {
    type Error = UnknownView;

    fn try_from(name: String) -> Result<View, UnknownView> {
        name.parse()
    }
}

impl From<View> for String {
    fn from(view: View) -> String {
        view.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_seen() {
        let view = View { squash: true, large: false, flip: true };
        assert_eq!((view.to_string().as_str(), "squash-flip".parse()), ("squash-flip", Ok(view)));
        assert_eq!(view.mirrored().to_string(), "squash");
        assert_eq!(("centre".parse(), "center".parse()), (Ok(View::default()), Ok(View::default())));
        for wrong in ["", "flip-squash", "squash-squash", "square", "centre-flip"] {
            assert_eq!(wrong.parse::<View>(), Err(UnknownView(wrong.to_owned())));
        }
    }
}
