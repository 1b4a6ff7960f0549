//! What spoils training or scores, though every row of it can be read.

use std::collections::HashMap;

use artifacts::Split;
use artifacts::images::ImageRow;

/// What to say of the images, as subjects and reasons; `given` tells whether the dataset brought its splits.
pub(crate) fn find(rows: &[ImageRow], given: bool) -> Vec<(String, String)> {
    let mut found = same_in_two_splits(rows);
    if !rows.iter().any(|row| row.split == Split::Val) {
        let advice = if given { "give some images the split `val`" } else { "raise dataset.val_fraction" };
        let reason = format!("no image is in it, and training chooses its checkpoint on it: {advice}");
        found.push((Split::Val.to_string(), reason));
    }
    found
}

/// Files of equal bytes that are in different splits: what was trained on is scored then, and scores flatter.
fn same_in_two_splits(rows: &[ImageRow]) -> Vec<(String, String)> {
    let mut first: HashMap<&str, &ImageRow> = HashMap::new();
    let mut found = Vec::new();
    for row in rows {
        let other = *first.entry(row.content_hash.as_str()).or_insert(row);
        if other.split != row.split {
            let reason = format!(
                "in {} is the same file as {} in {}: scores flatter; leave one of them out",
                row.split, other.path, other.split
            );
            found.push((row.path.clone(), reason));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, split: Split, hash: &str) -> ImageRow {
        ImageRow {
            image_id: path.to_owned(),
            path: path.to_owned(),
            split,
            width: 1,
            height: 1,
            content_hash: hash.to_owned(),
        }
    }

    #[test]
    fn the_same_bytes_in_two_splits_are_named() {
        let rows = [
            row("a.jpg", Split::Train, "1"),
            row("b.jpg", Split::Train, "1"),
            row("c.jpg", Split::Val, "1"),
            row("d.jpg", Split::Test, "2"),
            row("e.jpg", Split::Val, "3"),
        ];
        let found = find(&rows, true);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "c.jpg");
        assert!(found[0].1.contains("the same file as a.jpg in train"), "{found:?}");
    }

    #[test]
    fn an_empty_split_is_said_with_what_fills_it() {
        let rows = [row("a.jpg", Split::Train, "1"), row("b.jpg", Split::Test, "2")];
        assert!(find(&rows, false)[0].1.contains("raise dataset.val_fraction"));
        assert!(find(&rows, true)[0].1.contains("give some images the split `val`"));
    }
}
