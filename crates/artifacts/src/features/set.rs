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
/// ```
/// use artifacts::Split;
/// use artifacts::features::FeatureSet;
/// # use artifacts::features::{Dtype, FeatureKey, FeatureRow, FeatureSpec, WeightsOrigin, part_file, write_part};
/// # use artifacts::manifest::{Manifest, Output};
/// # use artifacts::{Recipe, View};
/// # use half::f16;
/// # let run = tempfile::tempdir()?;
/// # let folder = run.path().join("resnet18");
/// # let (transform, weights_sha256) = (serde_json::json!({}), "0".repeat(64));
/// # let backbone = "resnet18".to_owned();
/// # let (view, weights, onnx, grid) = (View::default(), WeightsOrigin::Published, None, [1, 2]);
/// # let spec = FeatureSpec { backbone, view, weights, weights_sha256, onnx, transform, grid, channels: 3 };
/// # let (image_id, content_hash) = ("beach".to_owned(), "blake3:0".to_owned());
/// # let key = FeatureKey { image_id, split: Split::Val, content_hash };
/// # let grid = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(f16::from_f32).to_vec();
/// # let row = FeatureRow { key: key.clone(), pooled: [2.5, 3.5, 4.5].map(f16::from_f32).to_vec(), grid };
/// # let recipe = Recipe::new("preprocess", 1, &())?;
/// # let file = part_file(0, &recipe, &[key.clone()]);
/// # write_part(&folder.join(&file), &spec, Dtype::F16, &[row], &[], &recipe, &[key])?;
/// # let outputs = vec![Output::of(&folder, &file)?];
/// # let fingerprint = recipe.fingerprint();
/// # let (warnings, summary) = (vec![], Default::default());
/// # let manifest = Manifest { fingerprint, recipe, model: None, outputs, warnings, summary, seconds: 0.0 };
/// # manifest.write(&folder)?;
///
/// // A set that `preprocess` has finished, `data/runs/demo/features/resnet18` for example.
/// let set = FeatureSet::open(&folder)?;
/// assert_eq!(set.spec().grid, [1, 2]);
/// let rows = set.rows_of(Split::Val);
/// // `[regions × channels]` half floats, appended to those of other images.
/// let mut grid = Vec::new();
/// set.grid(rows["beach"], &mut grid)?;
/// assert_eq!(grid.iter().map(|value| value.to_f32()).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
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
        FeatureSet::of(folder, &manifest, |file| FeaturePart::open(&folder.join(file)))
    }

    /// The set in `folder`, a path or an address, whose manifest was read; `open` opens its parts.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn of(
        folder: &Path,
        manifest: &Manifest,
        open: impl Fn(&str) -> Result<FeaturePart, TableError>,
    ) -> Result<FeatureSet, FeatureError> {
        let mut parts: Vec<FeaturePart> = Vec::new();
        let mut starts = vec![0];
        for output in &manifest.outputs {
            let part = open(&output.file)?;
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
        FeatureSet::open(folder)?.named(name)
    }

    /// The set, which must be the one called `name`.
    ///
    /// # Errors
    ///
    /// It is another one.
    pub fn named(self, name: &str) -> Result<FeatureSet, FeatureError> {
        let (found, wanted) = (self.spec().name(), name.to_owned());
        if found != wanted {
            return Err(FeatureError::OtherBackbone { path: self.parts[0].path.clone(), found, wanted });
        }
        Ok(self)
    }

    /// What made the features, and their shape.
    pub fn spec(&self) -> &FeatureSpec {
        &self.parts[0].spec
    }

    /// Whether all parts carry checksums, with which every row that is read is compared.
    pub fn is_checked(&self) -> bool {
        self.parts.iter().all(FeaturePart::is_checked)
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
