//! Sets in words: what there is, what is about to be fetched, what comes next.

use std::borrow::Cow;
use std::fmt::Write;
use std::path::Path;

use super::{ALL, Set, Size};

/// All sets, with their sizes and terms.
pub fn list() -> String {
    let mut text = String::from("Public captioning sets; nothing is fetched before one is named:\n");
    for set in ALL {
        let bytes: u64 = set.files.iter().map(|file| file.size.bytes()).sum();
        let about =
            if set.files.iter().all(|file| matches!(file.size, Size::Exact(_))) { "" } else { "about " };
        // Writing to a String does not fail.
        let _ = write!(text, "\n{}: {about}{}\n  {}\n  {}\n", set.name, size(bytes), set.about, set.terms);
    }
    text.push_str("\nOne of them, into data/raw/NAME: just data NAME (or elsewhere: --into FOLDER)\n");
    text
}

impl Set {
    /// What to do with the set in `root`, a line each.
    pub fn next(&self, root: &Path) -> String {
        let root = quoted(&root.to_string_lossy()).into_owned();
        self.next.iter().map(|line| line.replace("{root}", &root) + "\n").collect()
    }
}

/// Bytes for people, in decimal units.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |char: char| char.is_alphanumeric() || "/._-+=:@".contains(char);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_blank_stays_one_word_in_the_next_command() {
        let set = Set::named("flickr30k").unwrap();
        let next = set.next(Path::new("/my data/it's"));
        assert!(next.contains(r"--set dataset.root='/my data/it'\''s'/dataset_flickr30k.json"), "{next}");
    }

    #[test]
    fn every_set_is_listed_with_size_and_terms() {
        let list = list();
        for set in ALL {
            assert!(list.contains(set.about) && list.contains(set.terms), "{list}");
        }
        assert!(list.contains("flickr8k: 1.1 GB") && list.contains("cc3m: about 502.4 MB"), "{list}");
    }
}
