//! Reading a finished set part by part.

use std::path::{Path, PathBuf};

use super::index;
use super::{FeatureError, FeaturePart, FeatureRow, FeatureSpec, GridRows, ImageIndex};
use crate::Manifest;
use crate::split::Split;
use crate::table::TableError;

/// A finished set. Its parts are opened one after the other as they are asked for.
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
/// let (grids, images) = set.grids(Split::Val)?;
/// // `[regions × channels]` half floats, appended to those of other images.
/// let mut grid = Vec::new();
/// grids.append(images.get("beach").ok_or("no beach")?, &mut grid)?;
/// assert_eq!(grid.iter().map(|value| value.to_f32()).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FeatureSet {
    folder: PathBuf,
    files: Vec<String>,
    open: Box<Open>,
    spec: FeatureSpec,
}

/// Opens the part of a name.
type Open = dyn Fn(&str) -> Result<FeaturePart, TableError> + Send + Sync;

impl FeatureSet {
    /// Opens the finished set in `folder`.
    ///
    /// # Errors
    ///
    /// The set is not finished, has no part, or its first one is damaged.
    pub fn open(folder: &Path) -> Result<FeatureSet, FeatureError> {
        let (manifest, place) = (Manifest::read(folder)?, folder.to_owned());
        FeatureSet::of(folder, &manifest, move |file| FeaturePart::open(&place.join(file)))
    }

    /// The set in `folder`, a path or an address, whose manifest was read; `open` opens its parts.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn of(
        folder: &Path,
        manifest: &Manifest,
        open: impl Fn(&str) -> Result<FeaturePart, TableError> + Send + Sync + 'static,
    ) -> Result<FeatureSet, FeatureError> {
        let files: Vec<String> = manifest.outputs.iter().map(|output| output.file.clone()).collect();
        let first = files.first().ok_or_else(|| FeatureError::NoParts(folder.to_owned()))?;
        let spec = open(first)?.spec;
        Ok(FeatureSet { folder: folder.to_owned(), files, open: Box::new(open), spec })
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
        let (found, wanted) = (self.spec.name(), name.to_owned());
        if found != wanted {
            let path = self.folder.join(&self.files[0]);
            return Err(FeatureError::OtherBackbone { path, found, wanted });
        }
        Ok(self)
    }

    /// Where it lies: a path or an address.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What made the features, and their shape.
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// The parts in their order. One that is damaged, or of other features than the first, is an error in its place.
    pub fn parts(&self) -> impl Iterator<Item = Result<FeaturePart, FeatureError>> {
        self.files.iter().map(|file| {
            let part = (self.open)(file)?;
            if part.spec != self.spec {
                let wanted = format!("one set of {} weights for all parts", self.spec.name());
                let (path, found) = (part.path, part.spec.name());
                return Err(FeatureError::OtherBackbone { path, found, wanted });
            }
            Ok(part)
        })
    }

    /// All rows in their order. One that cannot be read is an error in its place, and so is a part.
    pub fn rows(&self) -> impl Iterator<Item = Result<FeatureRow, FeatureError>> {
        self.parts().flat_map(|part| {
            let (part, error) = match part {
                Ok(part) => (Some(part), None),
                Err(error) => (None, Some(Err(error))),
            };
            part.into_iter().flat_map(FeaturePart::into_rows).map(|row| Ok(row?)).chain(error)
        })
    }

    /// The grids of the images of a split, in the order of their rows, and which image each is of.
    ///
    /// # Errors
    ///
    /// A part is damaged, or of other features than the first; or no image is of the split.
    pub fn grids(&self, split: Split) -> Result<(GridRows, ImageIndex), FeatureError> {
        let mut grids = GridRows::default();
        let mut images = Vec::new();
        for part in self.parts() {
            let part = part?;
            let of_split = |row: &usize| part.keys[*row].split == split;
            let rows: Vec<usize> = (0..part.keys.len()).filter(of_split).collect();
            let numbers = images.len() as u32..;
            let image = |(&row, number): (&usize, u32)| (index::hash(&part.keys[row].image_id), number);
            images.extend(rows.iter().zip(numbers).map(image));
            grids.add(&part, &rows);
        }
        if grids.is_empty() {
            return Err(FeatureError::Empty { folder: self.folder.clone(), split });
        }
        Ok((grids, ImageIndex::sorted(images)))
    }
}
