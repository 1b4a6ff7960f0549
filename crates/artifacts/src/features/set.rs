//! Reading a finished set: all its identities at once, and its numbers a row at a time.

use std::collections::HashMap;
use std::path::Path;

use half::f16;

use super::{FeatureError, FeatureKey, FeaturePart, FeatureSpec};
use crate::Manifest;
use crate::split::Split;
use crate::table::TableError;

/// A finished set, the rows of its parts numbered through.
///
/// ```no_run,standalone_crate
/// use artifacts::Split;
/// use artifacts::features::FeatureSet;
///
/// # fn main() -> Result<(), artifacts::features::FeatureError> {
/// let set = FeatureSet::open("data/runs/demo/features/efficientnet_lite0".as_ref())?;
/// let rows = set.rows_of(Split::Val);
/// let mut grid = Vec::new();
/// set.grid(rows["scene-00005"], &mut grid)?;
/// assert_eq!(grid.len(), set.spec().regions() * set.spec().channels);
/// # Ok(())
/// # }
/// ```
pub struct FeatureSet {
    parts: Vec<FeaturePart>,
    /// First row of each part, then the number of rows.
    starts: Vec<usize>,
}

impl FeatureSet {
    /// Opens the finished set in `folder`.
    ///
    /// # Errors
    ///
    /// When the folder has no manifest or no part, when a part cannot be read, or when parts were made by different
    /// weights or transforms.
    pub fn open(folder: &Path) -> Result<FeatureSet, FeatureError> {
        let manifest = Manifest::read(folder)?;
        let mut parts: Vec<FeaturePart> = Vec::new();
        let mut starts = vec![0];
        for output in &manifest.outputs {
            let part = FeaturePart::open(&folder.join(&output.file))?;
            if let Some(first) = parts.first()
                && first.spec != part.spec
            {
                let wanted = format!("one set of {} weights for all parts", first.spec.name());
                return Err(FeatureError::OtherBackbone { path: part.path, found: part.spec.name(), wanted });
            }
            starts.push(starts[starts.len() - 1] + part.keys.len());
            parts.push(part);
        }
        if parts.is_empty() {
            return Err(FeatureError::NoParts(folder.to_owned()));
        }
        Ok(FeatureSet { parts, starts })
    }

    /// Opens the finished set in `folder`, which must be the one called `name` ([`FeatureSpec::name`]).
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and when it is another set.
    pub fn open_named(folder: &Path, name: &str) -> Result<FeatureSet, FeatureError> {
        let set = FeatureSet::open(folder)?;
        let (found, wanted) = (set.spec().name(), name.to_owned());
        if found != wanted {
            return Err(FeatureError::OtherBackbone { path: set.parts[0].path.clone(), found, wanted });
        }
        Ok(set)
    }

    /// What made the features, and their shape.
    pub fn spec(&self) -> &FeatureSpec {
        &self.parts[0].spec
    }

    /// The parts in their order.
    pub fn parts(&self) -> &[FeaturePart] {
        &self.parts
    }

    /// The images in the order of their rows.
    pub fn keys(&self) -> impl Iterator<Item = &FeatureKey> {
        self.parts.iter().flat_map(|part| &part.keys)
    }

    /// The row of each image of a split.
    pub fn rows_of(&self, split: Split) -> HashMap<&str, usize> {
        let keys = self.keys().enumerate().filter(|(_, key)| key.split == split);
        keys.map(|(row, key)| (key.image_id.as_str(), row)).collect()
    }

    /// The mean over the regions of row number `row`: `[channels]`.
    ///
    /// # Errors
    ///
    /// When the part is damaged, or has no such row.
    pub fn pooled(&self, row: usize) -> Result<Vec<f16>, TableError> {
        let (part, row) = self.place(row);
        part.pooled(row)
    }

    /// Appends the grid of row number `row`, `[regions × channels]`, to `out`.
    ///
    /// # Errors
    ///
    /// When the part is damaged, or has no such row.
    pub fn grid(&self, row: usize, out: &mut Vec<f16>) -> Result<(), TableError> {
        let (part, row) = self.place(row);
        part.grid(row, out)
    }

    /// The part that holds a row, and the row's number there.
    fn place(&self, row: usize) -> (&FeaturePart, usize) {
        let after = self.starts.partition_point(|&start| start <= row);
        let part = after.saturating_sub(1).min(self.parts.len() - 1);
        (&self.parts[part], row - self.starts[part])
    }
}
