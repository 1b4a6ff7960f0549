//! What spoils training or scores, though every row of it can be read.

use std::collections::HashMap;

use artifacts::Split;
use artifacts::images::ImageRow;

/// What to say of the images, as subjects and reasons; `given` tells whether the dataset brought its splits.
pub(crate) fn find(rows: &[ImageRow], given: bool) -> Vec<(String, String)> {
    let mut first: HashMap<&str, &ImageRow> = HashMap::new();
    let mut found = Vec::new();
    for row in rows {
        let other = *first.entry(row.content_hash.as_str()).or_insert(row);
        if other.split != row.split {
            found.push(same_in_two_splits(row.path.clone(), row.split, &other.path, other.split));
        }
    }
    found.extend(empty_val(rows.iter().filter(|row| row.split == Split::Val).count(), given));
    found
}

/// Files of equal bytes that are in different splits: what was trained on is scored then, and scores flatter.
pub(crate) fn same_in_two_splits(place: String, split: Split, other: &str, of: Split) -> (String, String) {
    let reason =
        format!("in {split} is the same file as {other} in {of}: scores flatter; leave one of them out");
    (place, reason)
}

/// What to say where no image is in val.
pub(crate) fn empty_val(images: usize, given: bool) -> Option<(String, String)> {
    let advice = if given { "give some images the split `val`" } else { "raise dataset.val_fraction" };
    let reason = format!("no image is in it, and training chooses its checkpoint on it: {advice}");
    (images == 0).then(|| (Split::Val.to_string(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, split: Split, hash: &str) -> ImageRow {
        ImageRow {
            image_id: path.to_owned(),
            path: path.to_owned(),
            offset: None,
            length: None,
            row: None,
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
