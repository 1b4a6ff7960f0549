//! The checksums of a part, which lie in it.

use half::f16;

use super::FeatureKey;
use crate::recipe::digest;

/// Footer entry with the checksum of the rows' identities and sums.
pub(super) const KEY: &str = "captioning.checksum";
/// Column with the CRC-32 of `pooled`.
pub(super) const POOLED_SUM: &str = "pooled_crc32";
/// Column with the CRC-32 of `grid`.
pub(super) const GRID_SUM: &str = "grid_crc32";

/// The CRC-32 of a row's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowSums {
    pub(super) pooled: u32,
    pub(super) grid: u32,
}

/// The CRC-32 of numbers as little-endian halves.
pub(super) fn of(numbers: &[f16]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = [0; 4096];
    for block in numbers.chunks(bytes.len() / 2) {
        for (place, number) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(block) {
            *place = number.to_le_bytes();
        }
        hasher.update(&bytes[..2 * block.len()]);
    }
    hasher.finalize()
}

/// The checksum over the identities of a part's rows and the sums of their numbers.
pub(super) fn of_part<'a>(keys: impl Iterator<Item = &'a FeatureKey>, rows: &[RowSums]) -> String {
    let mut text = Vec::new();
    for (FeatureKey { image_id, split, content_hash }, sums) in keys.zip(rows) {
        let row = format!("{} {image_id} {split} {content_hash} {sums:?}\n", image_id.len());
        text.extend_from_slice(row.as_bytes());
    }
    digest(&text)
}
