//! Where images are among rows, by their ids, without the ids.

/// The start of an id's BLAKE3. Of a billion images two have the same one with a probability of 10⁻²¹.
pub(super) type Hash = [u8; 16];

/// The row of each image, by its id: 20 bytes an image, however long the ids are.
#[derive(Clone, Debug, Default)]
pub struct ImageIndex(Vec<(Hash, u32)>);

impl ImageIndex {
    /// Images in the order of their rows.
    pub fn new<I: AsRef<str>>(image_ids: impl IntoIterator<Item = I>) -> ImageIndex {
        ImageIndex::sorted(image_ids.into_iter().zip(0..).map(|(id, row)| (hash(id.as_ref()), row)).collect())
    }

    /// Images with their rows, in any order.
    pub(super) fn sorted(mut rows: Vec<(Hash, u32)>) -> ImageIndex {
        rows.sort_unstable();
        ImageIndex(rows)
    }

    /// The row of an image; the first one, should it have several.
    pub fn get(&self, image_id: &str) -> Option<usize> {
        self.row(&hash(image_id)).map(|row| row as usize)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the image of each of these rows is in another index.
    pub fn rows_in(&self, other: &ImageIndex) -> Vec<Option<u32>> {
        let mut rows = vec![None; self.len()];
        for (hash, row) in &self.0 {
            rows[*row as usize] = other.row(hash);
        }
        rows
    }

    /// The same for some of the rows, which stand in rising order and are numbered anew.
    pub fn of_rows(&self, kept: &[u32]) -> ImageIndex {
        let renumbered = |&(hash, row): &(Hash, u32)| Some((hash, kept.binary_search(&row).ok()? as u32));
        ImageIndex(self.0.iter().filter_map(renumbered).collect())
    }

    fn row(&self, wanted: &Hash) -> Option<u32> {
        let place = self.0.partition_point(|(hash, _)| hash < wanted);
        self.0.get(place).filter(|(hash, _)| hash == wanted).map(|(_, row)| *row)
    }
}

/// What stands for an id.
pub(super) fn hash(image_id: &str) -> Hash {
    let mut start = Hash::default();
    start.copy_from_slice(&blake3::hash(image_id.as_bytes()).as_bytes()[..16]);
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_by_their_ids_in_their_own_order() {
        let ids: Vec<String> = (0..1000).map(|number| format!("image {number}")).collect();
        let index = ImageIndex::new(&ids);
        assert!(ids.iter().enumerate().all(|(row, id)| index.get(id) == Some(row)));
        assert_eq!((index.len(), index.get("image 1000")), (1000, None));
        assert_eq!(ImageIndex::new(["a", "b", "a"]).get("a"), Some(0), "the first one counts");
    }

    #[test]
    fn rows_of_two_sets_are_brought_together() {
        let first = ImageIndex::new(["a", "b", "c", "d"]);
        let second = ImageIndex::new(["d", "e", "b"]);
        assert_eq!(first.rows_in(&second), [None, Some(2), None, Some(0)]);
        let both = first.of_rows(&[1, 3]);
        assert_eq!(["a", "b", "d"].map(|id| both.get(id)), [None, Some(0), Some(1)]);
    }
}
