//! `features/<set>/part-*.parquet`: one row per image, its grid of CNN features in half precision.
//!
//! The grid column is `FixedSizeList<FixedSizeList<Float16, channels>, regions>`, the layout that carries its shape
//! and opens typed in pyarrow, pandas, Polars, DuckDB and Hugging Face datasets. Each row is a page of its own, so
//! that a single image can be read without its neighbours.
//!
//! The columns `pooled_crc32` and `grid_crc32` hold the CRC-32 (that of zlib) of a row's numbers as little-endian halves;
//! the footer's `captioning.checksum` covers the identities and these sums. Every row is compared when it is read. Parts of
//! other programs may lack all three, and are read unchecked.
//!
//! A set is what one backbone, with published or tuned weights, makes of one view of the images; several lie side by side.
//! [`FeatureSet`] reads one.

mod foreign;
mod index;
mod page;
mod part;
mod rows;
mod set;
mod stored;
mod sums;
mod write;

use std::path::PathBuf;

use half::f16;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::layout;
use crate::recipe::{Recipe, digest};
use crate::split::Split;
use crate::table::{Kind, TableError};
use crate::view::View;

pub use foreign::{ForeignRow, ForeignRows};
pub use index::ImageIndex;
pub use part::FeaturePart;
pub use rows::GridRows;
pub use set::FeatureSet;
pub use stored::Stored;
pub use write::{complete_part, write_part};

const KIND: Kind = Kind { name: "features", version: 2, maker: "preprocess" };
const SPEC_KEY: &str = "captioning.features";
const CONTENT_KEY: &str = "captioning.part_content";
const SKIPPED_KEY: &str = "captioning.skipped";

/// Most numbers of one grid; a file that names more is not one of ours.
const MAX_NUMBERS: usize = 1 << 24;

/// What made the features, and their shape: the same for every part of a folder. One read from a file has a grid that
/// memory can hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct FeatureSpec {
    /// Name of the backbone in the registry, or of an ONNX network.
    pub backbone: String,
    /// What it was shown of each image.
    pub view: View,
    /// Where its weights come from.
    #[serde(default, skip_serializing_if = "WeightsOrigin::is_published")]
    pub weights: WeightsOrigin,
    /// SHA-256 of the file of converted weights, or of an ONNX file: other weights make other features.
    pub weights_sha256: String,
    /// Of a network that is no backbone of this program, but an ONNX file: where in its outputs the grid is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnx: Option<OnnxOutput>,
    /// The image transform (`imaging::Transform`), opaque here.
    pub transform: serde_json::Value,
    /// Rows and columns of the grid.
    pub grid: [usize; 2],
    /// Numbers per region.
    pub channels: usize,
}

impl FeatureSpec {
    /// Regions of the grid: rows × columns.
    pub fn regions(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Bytes that an image takes on disk at least: behind a ReLU nine numbers in ten may be zero, and compress away.
    pub fn least_bytes(&self) -> u64 {
        (self.regions() * self.channels * size_of::<f16>() / 8) as u64
    }

    /// Name of the set, which is that of its folder.
    pub fn name(&self) -> String {
        set_name(&self.backbone, self.weights, self.view)
    }
}

// The derives above give `FeatureSpec::serialize` and `FeatureSpec::deserialize`; the traits add the check.
impl Serialize for FeatureSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FeatureSpec::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for FeatureSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spec = FeatureSpec::deserialize(deserializer)?;
        let sizes = [spec.grid[0], spec.grid[1], spec.channels];
        let numbers = sizes.iter().try_fold(1usize, |numbers, size| numbers.checked_mul(*size));
        if !numbers.is_some_and(|numbers| (1..=MAX_NUMBERS).contains(&numbers)) {
            let reason = format!("a grid of {sizes:?} numbers; there are from 1 to {MAX_NUMBERS}");
            return Err(D::Error::custom(reason));
        }
        Ok(spec)
    }
}

/// Name of the features that a backbone with such weights makes of a view: `resnet50`, `resnet50.flip`,
/// `resnet50.tuned.flip`.
pub fn set_name(backbone: &str, weights: WeightsOrigin, view: View) -> String {
    let mut name = backbone.to_owned();
    if !weights.is_published() {
        name += ".tuned";
    }
    if view != View::default() {
        name += &format!(".{view}");
    }
    name
}

/// Where the weights of a backbone come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WeightsOrigin {
    /// They are those of its publisher, who trained them to name what is in a photo.
    #[default]
    Published,
    /// The run's own `tune` stage went on from there, towards captions.
    Tuned,
}

impl WeightsOrigin {
    /// Headers and footers that do not name an origin are of these.
    pub fn is_published(&self) -> bool {
        *self == WeightsOrigin::Published
    }
}

/// Where in the outputs of an ONNX network the grid is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnnxOutput {
    /// Name of the output.
    pub output: String,
    /// How the regions lie in it.
    pub regions: Layout,
    /// Tokens before the regions that are none: class and register tokens.
    #[serde(default, skip_serializing_if = "is_0")]
    pub drop_tokens: usize,
}

fn is_0(number: &usize) -> bool {
    *number == 0
}

/// How the regions of images lie in an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[batch, channels, rows, columns]`, as convolutions give them.
    #[default]
    ChannelsFirst,
    /// `[batch, rows, columns, channels]`.
    ChannelsLast,
    /// `[batch, tokens, channels]`, row by row from the top left, as vision transformers give them.
    Tokens,
}

/// How the numbers are stored; both hold values rounded to half precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Half precision.
    #[default]
    F16,
    /// Single precision, for readers that know no halves: a quarter more bytes.
    F32,
}

/// Identity of one image in a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureKey {
    /// As in `images/part-*.parquet`.
    pub image_id: String,
    /// As in `images/part-*.parquet`, when the features were made.
    pub split: Split,
    /// Hash of the file's bytes.
    pub content_hash: String,
}

/// One image's features.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureRow {
    /// The image, and the content that was seen.
    pub key: FeatureKey,
    /// Mean over the regions, taken before they were rounded: `[channels]`.
    pub pooled: Vec<f16>,
    /// Row-major regions: `[regions × channels]`.
    pub grid: Vec<f16>,
}

/// File name of part number `part`, which holds the images `keys` made by `recipe`.
///
/// Another recipe or other images give another name, so that old parts stay readable until new ones are complete.
pub fn part_file(part: usize, recipe: &Recipe, keys: &[FeatureKey]) -> String {
    layout::part_of(part, recipe, &part_content(keys))
}

/// Hash of the images that a part was made from, those that turned out unreadable included.
pub fn part_content(keys: &[FeatureKey]) -> String {
    digest(&serde_json::to_vec(keys).unwrap_or_default())
}

/// Why features cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// A part cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The folder is not a finished artifact.
    #[error(transparent)]
    Manifest(#[from] crate::manifest::ManifestError),
    /// The folder holds features of something else.
    #[error("{}: made with {found}, but {wanted} is wanted: run preprocess for it, or name the other backbone", path.display())]
    OtherBackbone {
        /// File of the part.
        path: PathBuf,
        /// What made the features.
        found: String,
        /// What the caller needs.
        wanted: String,
    },
    /// The folder is finished and empty.
    #[error("{} holds no part: run preprocess", .0.display())]
    NoParts(PathBuf),
    /// The folder holds no image of the split.
    #[error("{} holds no features of split {split}", folder.display())]
    Empty {
        /// Folder of the set.
        folder: PathBuf,
        /// The split that no row belongs to.
        split: Split,
    },
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::{Manifest, Output};

    fn spec(backbone: &str, grid: [usize; 2]) -> FeatureSpec {
        FeatureSpec {
            backbone: backbone.to_owned(),
            view: View::default(),
            weights: WeightsOrigin::Published,
            weights_sha256: "0".repeat(64),
            onnx: None,
            transform: serde_json::json!({ "crop": 64 }),
            grid,
            channels: 4,
        }
    }

    #[test]
    fn only_tuned_weights_are_named() {
        let published = spec("tiny", [2, 3]);
        let tuned = FeatureSpec { weights: WeightsOrigin::Tuned, ..published.clone() };
        let squash = View { squash: true, ..View::default() };
        let names = [&published, &tuned].map(|spec| {
            let of_view = |view| FeatureSpec { view, ..spec.clone() }.name();
            [of_view(View::default()), of_view(squash)]
        });
        assert_eq!(names, [["tiny", "tiny.squash"], ["tiny.tuned", "tiny.tuned.squash"]]);
        // What was written before there were others stays what it is, byte for byte.
        let old = format!(
            r#"{{"backbone":"tiny","view":"centre","weights_sha256":"{}","transform":{{"crop":64}},"grid":[2,3],"channels":4}}"#,
            "0".repeat(64)
        );
        assert_eq!(serde_json::to_string(&published).unwrap(), old);
        assert_eq!(serde_json::from_str::<FeatureSpec>(&old).unwrap(), published);
        let output = OnnxOutput { output: "x".to_owned(), regions: Layout::Tokens, drop_tokens: 1 };
        let foreign = FeatureSpec { onnx: Some(output), ..published.clone() };
        let said = r#","onnx":{"output":"x","regions":"tokens","drop_tokens":1},"transform""#;
        let new = old.replace(r#","transform""#, said);
        assert_eq!(serde_json::to_string(&foreign).unwrap(), new);
        assert_eq!(serde_json::from_str::<FeatureSpec>(&new).unwrap(), foreign);
        let new = old.replace(r#","weights_sha256""#, r#","weights":"tuned","weights_sha256""#);
        assert_eq!(serde_json::to_string(&tuned).unwrap(), new);
        assert_eq!(serde_json::from_str::<FeatureSpec>(&new).unwrap(), tuned);
    }

    fn rows(count: usize, size: usize) -> Vec<FeatureRow> {
        let row = |index: usize| FeatureRow {
            key: FeatureKey {
                image_id: format!("image-{index}"),
                split: if index.is_multiple_of(2) { Split::Train } else { Split::Val },
                content_hash: format!("blake3:{index}"),
            },
            pooled: vec![f16::from_f32(index as f32); 4],
            grid: (0..size).map(|value| f16::from_f32((index * size + value) as f32)).collect(),
        };
        (0..count).map(row).collect()
    }

    /// Writes `count` images in parts of 300; returns the last part's path and recipe.
    fn write(folder: &Path, spec: &FeatureSpec, count: usize, dtype: Dtype) -> (PathBuf, Recipe) {
        let recipe = Recipe::new("preprocess", 1, &"settings").unwrap();
        let rows = rows(count, spec.regions() * spec.channels);
        let mut files = Vec::new();
        for (number, rows) in rows.chunks(300).enumerate() {
            let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
            files.push(part_file(number, &recipe, &keys));
            let path = folder.join(&files[number]);
            write_part(&path, spec, dtype, rows, &[], &recipe, &keys).unwrap();
        }
        let outputs = files.iter().map(|file| Output::of(folder, file).unwrap()).collect();
        let manifest = Manifest {
            fingerprint: recipe.fingerprint(),
            recipe: recipe.clone(),
            model: None,
            outputs,
            warnings: vec![],
            summary: Default::default(),
            seconds: 0.0,
        };
        manifest.write(folder).unwrap();
        (folder.join(&files[files.len() - 1]), recipe)
    }

    #[test]
    fn rows_come_back_as_they_were_written_whatever_part_they_lie_in() {
        for dtype in [Dtype::F16, Dtype::F32] {
            let folder = tempfile::tempdir().unwrap();
            let spec = spec("tiny", [2, 3]);
            write(folder.path(), &spec, 700, dtype);
            let set = FeatureSet::open(folder.path()).unwrap();
            let wanted = rows(700, 24);
            assert_eq!((set.spec(), set.parts().count()), (&spec, 3));
            assert!(set.rows().map(Result::unwrap).eq(wanted.iter().cloned()));
            let (grids, images) = set.grids(Split::Val).unwrap();
            assert_eq!((grids.len(), images.len(), grids.is_checked()), (350, 350, true));
            for row in [699, 1, 299, 301] {
                let mut grid = Vec::new();
                grids.append(images.get(&format!("image-{row}")).unwrap(), &mut grid).unwrap();
                assert_eq!(grid, wanted[row].grid);
            }
            assert_eq!(images.get("image-0"), None, "of another split");
            let last = set.parts().last().unwrap().unwrap();
            assert!(last.pooled(99).is_ok() && last.pooled(100).is_err());
        }
    }

    #[test]
    fn another_set_than_the_one_named_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &spec("tiny", [2, 3]), 4, Dtype::F16);
        let error = FeatureSet::open_named(folder.path(), "resnet50").err().unwrap().to_string();
        assert!(error.contains("made with tiny, but resnet50 is wanted"), "{error}");
    }

    #[test]
    fn a_part_is_complete_only_for_its_own_recipe_and_images() {
        let folder = tempfile::tempdir().unwrap();
        let (path, recipe) = write(folder.path(), &spec("tiny", [2, 3]), 4, Dtype::F16);
        let keys: Vec<_> = rows(4, 24).into_iter().map(|row| row.key).collect();
        assert_eq!(complete_part(&path, &recipe, &part_content(&keys)), Some(vec![]));
        assert_eq!(complete_part(&path, &recipe, &part_content(&keys[1..])), None);
        let other = Recipe::new("preprocess", 1, &"other").unwrap();
        assert_eq!(complete_part(&path, &other, &part_content(&keys)), None);
        assert_ne!(part_file(0, &recipe, &keys), part_file(0, &other, &keys));
        assert_ne!(part_file(0, &recipe, &keys), part_file(0, &recipe, &keys[1..]));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(complete_part(&path, &recipe, &part_content(&keys)), None);
    }

    #[test]
    fn a_part_that_cannot_be_written_says_why_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        let recipe = Recipe::new("preprocess", 1, &"settings").unwrap();
        let spec = spec("tiny", [2, 3]);
        let error = write_part(&taken, &spec, Dtype::F16, &rows(4, 24), &[], &recipe, &[]).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("cannot write ") && message.contains("taken: "), "{message}");
        assert!(message.contains("run the stage again") && !message.contains("External"), "{message}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_flipped_byte_is_refused_by_name_or_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = write(folder.path(), &spec("tiny", [2, 3]), 4, Dtype::F16);
        let whole = std::fs::read(&path).unwrap();
        let wanted = rows(4, 24);
        let mut refused = 0;
        for place in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&path, &bytes).unwrap();
            let read = || -> Result<Vec<FeatureRow>, TableError> {
                let part = FeaturePart::open(&path)?;
                assert_eq!(part.spec, spec("tiny", [2, 3]), "byte {place}");
                let row = |(row, key): (usize, &FeatureKey)| {
                    let mut grid = Vec::new();
                    part.grid(row, &mut grid)?;
                    Ok(FeatureRow { key: key.clone(), pooled: part.pooled(row)?, grid })
                };
                part.keys.iter().enumerate().map(row).collect()
            };
            match read() {
                Ok(found) => assert!(found == wanted, "byte {place}"),
                Err(error) => {
                    let message = error.to_string();
                    assert!(message.contains("part-00000") && message.contains("preprocess"), "{message}");
                    refused += 1;
                }
            }
        }
        assert!(refused > whole.len() / 10, "{refused} of {} flips were refused", whole.len() / 5);
        for length in (0..whole.len()).step_by(101) {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(FeaturePart::open(&path).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn damage_is_told_by_its_row_and_found_by_a_look_at_all_of_a_part() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = write(folder.path(), &spec("tiny", [2, 3]), 4, Dtype::F32);
        let part = FeaturePart::open(&path).unwrap();
        assert!(part.is_checked() && part.verify().is_ok());
        let sums: Vec<u32> = rows(4, 24).iter().map(|row| sums::of(&row.grid)).collect();
        let bytes =
            |row: &FeatureRow| -> Vec<u8> { row.grid.iter().flat_map(|value| value.to_le_bytes()).collect() };
        assert_eq!(sums, rows(4, 24).iter().map(|row| crc32fast::hash(&bytes(row))).collect::<Vec<_>>());
        let whole = std::fs::read(&path).unwrap();
        let found = (4..whole.len()).find_map(|place| {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            FeaturePart::open(&path).ok()?.verify().err()
        });
        let found = found.unwrap().to_string();
        assert!(found.contains("of row ") && found.contains("image image-"), "{found}");
        std::fs::write(&path, &whole).unwrap();
        let (grids, _) = FeatureSet::open(folder.path()).unwrap().grids(Split::Val).unwrap();
        std::fs::write(&path, whole.iter().map(|byte| !byte).collect::<Vec<u8>>()).unwrap();
        let mut grid = vec![f16::ONE];
        let found = grids.append(1, &mut grid).unwrap_err().to_string();
        assert!(found.contains("part-00000") && found.contains("the grid at byte "), "{found}");
        assert_eq!(grid, [f16::ONE], "nothing of it is handed out");
    }
}
