//! The names that people give to splits.

use std::path::{Path, PathBuf};

use annotations::Location;
use artifacts::Split;

use super::LayoutError;

/// `restval`, the part of COCO's val that Karpathy's splits hold out of nothing, belongs to train, as in all work with them.
const NAMES: [(Split, &[&str]); 3] = [
    (Split::Train, &["train", "training", "restval"]),
    (Split::Val, &["val", "valid", "validation", "dev", "development"]),
    (Split::Test, &["test", "testing"]),
];

/// The split of that name, letter case aside.
pub(crate) fn of(name: &str) -> Option<Split> {
    let name = name.trim();
    let meant = |(_, names): &&(Split, &[&str])| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    NAMES.iter().find(meant).map(|(split, _)| *split)
}

/// The one split whose name is a word of `text`, as in `captions_val2017` or `vizwiz-train`.
pub(crate) fn within(text: &str) -> Option<Split> {
    let words = text.split(|letter: char| !letter.is_ascii_alphabetic());
    let mut found = words.filter_map(of);
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
}

/// The split of that name; an unknown name is refused.
pub(super) fn parse(at: &Location, name: &str) -> Result<Split, LayoutError> {
    of(name).ok_or_else(|| LayoutError::UnknownSplit { at: at.clone(), name: name.to_owned() })
}

/// The folders in `root` that are named after splits, in order, by their names.
pub(super) fn folders(root: &Path) -> Result<Vec<(PathBuf, Split)>, LayoutError> {
    let failed = |source| LayoutError::Io { path: root.to_owned(), source };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some(split) = entry.file_name().to_str().and_then(of)
            && entry.path().is_dir()
        {
            folders.push((PathBuf::from(entry.file_name()), split));
        }
    }
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_have_many_names() {
        for name in ["val", "Val", "VALID", " validation ", "dev"] {
            assert_eq!(of(name), Some(Split::Val), "{name}");
        }
        assert_eq!([of("restval"), of("Training")], [Some(Split::Train); 2]);
        assert_eq!([of("trainval"), of(""), of("tests")], [None; 3]);
        assert_eq!(within("captions_val2017"), Some(Split::Val));
        assert_eq!(within("VizWiz-Train"), Some(Split::Train));
        assert_eq!([within("train_val"), within("instances"), within("interval")], [None; 3]);
    }
}
