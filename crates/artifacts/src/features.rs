//! `features/<backbone>/part-*.parquet`: one row an image, its grid of CNN features in half precision.
//!
//! The grid column is `FixedSizeList<FixedSizeList<Float16, channels>, regions>`, the layout that carries its shape
//! and opens typed in pyarrow, pandas, Polars, DuckDB and Hugging Face datasets. Each row is a page of its own, so
//! that a single image can be read without its neighbours.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type};
use arrow_array::{ArrayRef, FixedSizeListArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, FieldRef, Schema};
use half::f16;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::EnabledStatistics;
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};

use crate::manifest::Warning;
use crate::recipe::{Recipe, digest};
use crate::split::Split;
use crate::table::{self, TableError, malformed};
use crate::{Manifest, atomic};

const KIND: &str = "features";
const VERSION: u32 = 1;
const SPEC_KEY: &str = "captioning.features";
const CONTENT_KEY: &str = "captioning.part_content";
const SKIPPED_KEY: &str = "captioning.skipped";
const ROWS_PER_GROUP: usize = 256;

/// What made the features, and their shape: the same for every part of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureSpec {
    /// Name of the backbone in the registry.
    pub backbone: String,
    /// SHA-256 of the weights file.
    pub weights_sha256: String,
    /// The image transform (`imaging::Transform`), opaque here.
    pub transform: serde_json::Value,
    /// Rows and columns of the grid.
    pub grid: [usize; 2],
    /// Numbers a region.
    pub channels: usize,
}

impl FeatureSpec {
    /// Regions of the grid: rows × columns.
    pub fn regions(&self) -> usize {
        self.grid[0] * self.grid[1]
    }
}

/// Identity of one image in a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureKey {
    /// The image.
    pub image_id: String,
    /// Its split.
    pub split: Split,
    /// Hash of the file's bytes.
    pub content_hash: String,
}

/// One image's features.
#[derive(Clone, Debug)]
pub struct FeatureRow {
    /// Which image.
    pub key: FeatureKey,
    /// Mean over the regions, before rounding to half precision: `[channels]`.
    pub pooled: Vec<f32>,
    /// Row-major regions: `[regions × channels]`.
    pub grid: Vec<f16>,
}

/// File name of part number `part`.
pub fn part_file(part: usize) -> String {
    format!("part-{part:05}.parquet")
}

/// Hash of the images that a part was made from, those that turned out unreadable included.
pub fn part_content(keys: &[FeatureKey]) -> String {
    digest(&serde_json::to_vec(keys).unwrap_or_default())
}

/// The images skipped by a complete part made from the same recipe and images; `None` when it must be made (again).
pub fn complete_part(path: &Path, recipe: &Recipe, keys: &[FeatureKey]) -> Option<Vec<Warning>> {
    let found = table::read_metadata(path).ok()?;
    let wanted = table::metadata(KIND, VERSION, recipe, &[(CONTENT_KEY, part_content(keys))]);
    let same = wanted.iter().all(|(key, value)| found.get(key) == Some(value));
    same.then(|| serde_json::from_str(found.get(SKIPPED_KEY)?).ok())?
}

/// Writes one part atomically.
pub fn write_part(
    path: &Path,
    spec: &FeatureSpec,
    rows: &[FeatureRow],
    skipped: &[Warning],
    recipe: &Recipe,
    keys: &[FeatureKey],
) -> Result<(), TableError> {
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let extra = [
        (SPEC_KEY, json(serde_json::to_string(spec))),
        (CONTENT_KEY, part_content(keys)),
        (SKIPPED_KEY, json(serde_json::to_string(skipped))),
    ];
    let metadata = table::metadata(KIND, VERSION, recipe, &extra);
    let schema = Arc::new(schema(spec, metadata.iter().cloned().collect()));
    let properties = table::properties(&metadata)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from("image_id"), EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        // The page limit is checked once a write batch, so both must be one row.
        .set_data_page_row_count_limit(1)
        .set_write_batch_size(1)
        .build();
    atomic::write(path, |file| {
        let mut writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
        for rows in rows.chunks(ROWS_PER_GROUP) {
            writer.write(&record_batch(&schema, spec, rows)?)?;
        }
        writer.close()?;
        Ok::<_, parquet::errors::ParquetError>(())
    })
    .map_err(|error| malformed(path, KIND, error.to_string()))
}

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, false))
}

fn schema(spec: &FeatureSpec, metadata: HashMap<String, String>) -> Schema {
    let channels = spec.channels as i32;
    let region = DataType::FixedSizeList(item(DataType::Float16), channels);
    let grid = DataType::FixedSizeList(item(region), spec.regions() as i32);
    let pooled = DataType::FixedSizeList(item(DataType::Float32), channels);
    let fields = vec![
        Field::new("image_id", DataType::Utf8, false),
        Field::new("split", DataType::Utf8, false),
        Field::new("content_hash", DataType::Utf8, false),
        Field::new("pooled", pooled, false),
        Field::new("grid", grid, false),
    ];
    Schema::new_with_metadata(fields, metadata)
}

fn record_batch(
    schema: &Arc<Schema>,
    spec: &FeatureSpec,
    rows: &[FeatureRow],
) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let strings = |get: fn(&FeatureRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(get)))
    };
    let channels = spec.channels as i32;
    let pooled: Vec<f32> = rows.iter().flat_map(|row| row.pooled.iter().copied()).collect();
    let pooled = PrimitiveArray::<Float32Type>::from(pooled);
    let pooled = FixedSizeListArray::try_new(item(DataType::Float32), channels, Arc::new(pooled), None)?;
    let grid: Vec<f16> = rows.iter().flat_map(|row| row.grid.iter().copied()).collect();
    let grid = PrimitiveArray::<Float16Type>::from(grid);
    let grid = FixedSizeListArray::try_new(item(DataType::Float16), channels, Arc::new(grid), None)?;
    let region = item(DataType::FixedSizeList(item(DataType::Float16), channels));
    let grid = FixedSizeListArray::try_new(region, spec.regions() as i32, Arc::new(grid), None)?;
    let columns: Vec<ArrayRef> = vec![
        strings(|row| &row.key.image_id),
        strings(|row| row.key.split.as_str()),
        strings(|row| &row.key.content_hash),
        Arc::new(pooled),
        Arc::new(grid),
    ];
    RecordBatch::try_new(schema.clone(), columns)
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
        /// The part.
        path: PathBuf,
        /// What made the features.
        found: String,
        /// What the caller needs.
        wanted: String,
    },
    /// The folder holds no image of the split.
    #[error("{} holds no features of split {split}", folder.display())]
    Empty {
        /// The feature folder.
        folder: PathBuf,
        /// The split asked for.
        split: Split,
    },
}

/// The features of one split, resident in memory.
pub struct FeatureSet {
    /// What made them, and their shape.
    pub spec: FeatureSpec,
    /// The images, in cache order.
    pub image_ids: Vec<String>,
    grids: Vec<f16>,
}

impl FeatureSet {
    /// A set of images in memory; `grids` holds `[images × regions × channels]` values, row-major.
    pub fn new(spec: FeatureSpec, image_ids: Vec<String>, grids: Vec<f16>) -> FeatureSet {
        debug_assert_eq!(grids.len(), image_ids.len() * spec.regions() * spec.channels);
        FeatureSet { spec, image_ids, grids }
    }

    /// Loads one split of a finished feature folder made by `backbone`.
    pub fn load(folder: &Path, backbone: &str, split: Split) -> Result<FeatureSet, FeatureError> {
        let manifest = Manifest::read(folder)?;
        let parts: Vec<PathBuf> = manifest.outputs.iter().map(|output| folder.join(&output.file)).collect();
        let empty = || FeatureError::Empty { folder: folder.to_owned(), split };
        let mut set: Option<FeatureSet> = None;
        for part in &parts {
            let (builder, metadata) = table::open(part, KIND, VERSION)?;
            let spec = read_spec(part, &metadata)?;
            let other_backbone = |found: &FeatureSpec, wanted: String| FeatureError::OtherBackbone {
                path: part.clone(),
                found: found.backbone.clone(),
                wanted,
            };
            if spec.backbone != backbone {
                return Err(other_backbone(&spec, backbone.to_owned()));
            }
            let set = set.get_or_insert_with(|| FeatureSet::new(spec.clone(), Vec::new(), Vec::new()));
            if set.spec != spec {
                return Err(other_backbone(&spec, format!("one set of {backbone} weights for all parts")));
            }
            let reader = builder.with_batch_size(64).build();
            let reader = reader.map_err(|error| malformed(part, KIND, error.to_string()))?;
            for batch in reader {
                let batch = batch.map_err(|error| malformed(part, KIND, error.to_string()))?;
                set.append(part, &batch, split)?;
            }
        }
        set.filter(|set| !set.image_ids.is_empty()).ok_or_else(empty)
    }

    fn append(&mut self, part: &Path, batch: &RecordBatch, split: Split) -> Result<(), TableError> {
        let missing =
            |name: &str| malformed(part, KIND, format!("column {name} is missing or of another type"));
        let strings = |name: &str| {
            let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or_else(|| missing(name))
        };
        let (ids, splits) = (strings("image_id")?, strings("split")?);
        let grid = batch.column_by_name("grid").and_then(|column| column.as_fixed_size_list_opt());
        let values = grid.and_then(|grid| grid.values().as_fixed_size_list_opt());
        let values = values.and_then(|regions| regions.values().as_primitive_opt::<Float16Type>());
        let values = values.ok_or_else(|| missing("grid"))?.values();
        let size = self.spec.regions() * self.spec.channels;
        if values.len() != batch.num_rows() * size {
            return Err(malformed(
                part,
                KIND,
                "the grid column has another shape than the footer says".to_owned(),
            ));
        }
        for row in 0..batch.num_rows() {
            if splits.value(row) == split.as_str() {
                self.image_ids.push(ids.value(row).to_owned());
                self.grids.extend_from_slice(&values[row * size..(row + 1) * size]);
            }
        }
        Ok(())
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.image_ids.len()
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.image_ids.is_empty()
    }

    /// The grid of image number `index`: `[regions × channels]`, row-major.
    pub fn grid(&self, index: usize) -> &[f16] {
        let size = self.spec.regions() * self.spec.channels;
        &self.grids[index * size..(index + 1) * size]
    }
}

fn read_spec(part: &Path, metadata: &HashMap<String, String>) -> Result<FeatureSpec, TableError> {
    let text = metadata.get(SPEC_KEY).map(String::as_str).unwrap_or_default();
    serde_json::from_str(text)
        .map_err(|error| malformed(part, KIND, format!("footer entry {SPEC_KEY}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{Begin, begin};

    fn spec() -> FeatureSpec {
        FeatureSpec {
            backbone: "tiny".to_owned(),
            weights_sha256: "0".repeat(64),
            transform: serde_json::json!({ "crop": 64 }),
            grid: [2, 3],
            channels: 4,
        }
    }

    fn rows(count: usize) -> Vec<FeatureRow> {
        let row = |index: usize| FeatureRow {
            key: FeatureKey {
                image_id: format!("image-{index}"),
                split: if index.is_multiple_of(2) { Split::Train } else { Split::Val },
                content_hash: format!("blake3:{index}"),
            },
            pooled: vec![index as f32; 4],
            grid: (0..24).map(|value| f16::from_f32((index * 24 + value) as f32)).collect(),
        };
        (0..count).map(row).collect()
    }

    fn write(folder: &Path, count: usize) -> Recipe {
        let recipe = Recipe::new("preprocess", 1, &"settings").unwrap();
        let Begin::Work(work) = begin(folder, recipe.clone(), true).unwrap() else { panic!() };
        let rows = rows(count);
        let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
        write_part(&work.path(&part_file(0)), &spec(), &rows, &[], &recipe, &keys).unwrap();
        work.finish(&[part_file(0)], Default::default()).unwrap();
        recipe
    }

    #[test]
    fn a_split_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 300);
        let set = FeatureSet::load(folder.path(), "tiny", Split::Val).unwrap();
        assert_eq!((set.len(), &set.spec), (150, &spec()));
        assert_eq!(set.image_ids[149], "image-299");
        assert_eq!(set.grid(149), rows(300)[299].grid);
    }

    #[test]
    fn another_backbone_or_an_absent_split_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 4);
        let error = FeatureSet::load(folder.path(), "resnet50", Split::Val).err().unwrap().to_string();
        assert!(error.contains("made with tiny, but resnet50 is wanted"), "{error}");
        assert!(matches!(
            FeatureSet::load(folder.path(), "tiny", Split::Test),
            Err(FeatureError::Empty { .. })
        ));
    }

    #[test]
    fn a_part_is_complete_only_for_its_own_recipe_and_images() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = write(folder.path(), 4);
        let path = folder.path().join(part_file(0));
        let keys: Vec<_> = rows(4).into_iter().map(|row| row.key).collect();
        assert_eq!(complete_part(&path, &recipe, &keys), Some(vec![]));
        assert_eq!(complete_part(&path, &recipe, &keys[1..]), None);
        let other = Recipe::new("preprocess", 1, &"other").unwrap();
        assert_eq!(complete_part(&path, &other, &keys), None);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(complete_part(&path, &recipe, &keys), None);
    }
}
