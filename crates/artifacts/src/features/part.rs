//! Reading a part: all its identities at once, and its numbers a row at a time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use half::f16;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::PageIndexPolicy;

use super::page::{Column, Page};
use super::stored::{Ahead, PartFile, Stored};
use super::sums::{self, GRID_SUM, POOLED_SUM, RowSums};
use super::{FeatureKey, FeatureRow, FeatureSpec, KIND, SPEC_KEY};
use crate::recipe::Recipe;
use crate::split::Split;
use crate::table::{self, TableError, malformed};

/// An open part: its identities, and where its numbers lie, are in memory, its numbers on disk.
pub struct FeaturePart {
    /// The file's path or, of one in a store, its address.
    pub path: PathBuf,
    pub(super) file: PartFile,
    /// What made its features.
    pub spec: FeatureSpec,
    /// Its images, in order.
    pub keys: Vec<FeatureKey>,
    footer: HashMap<String, String>,
    pooled: (Column, Vec<Page>),
    pub(super) grid: (Column, Vec<Page>),
}

/// The columns of numbers, by their names and their places among the leaves of the schema.
const POOLED: (&str, usize) = ("pooled", 3);
const GRID: (&str, usize) = ("grid", 4);

impl FeaturePart {
    /// Opens a part and reads the identities of its images.
    ///
    /// # Errors
    ///
    /// The file is not there, cut short, not of this schema and version, or its identities do not fit their checksum.
    pub fn open(path: &Path) -> Result<FeaturePart, TableError> {
        FeaturePart::read(path, PartFile::Local(path.to_owned()))
    }

    /// The same for a part that lies in a store, at the address `path`.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub fn open_stored(path: &Path, stored: Arc<dyn Stored>) -> Result<FeaturePart, TableError> {
        FeaturePart::read(path, PartFile::Stored(stored))
    }

    fn read(path: &Path, part: PartFile) -> Result<FeaturePart, TableError> {
        let bad = |reason: String| malformed(path, KIND, reason);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let file = part.open().map_err(|source| TableError::Io { path: path.to_owned(), source })?;
        let (builder, footer) = table::open(path, Ahead::new(file), KIND, options)?;
        let text = footer.get(SPEC_KEY).map(String::as_str).unwrap_or_default();
        let spec: FeatureSpec =
            serde_json::from_str(text).map_err(|error| bad(format!("footer entry {SPEC_KEY}: {error}")))?;
        let metadata = builder.metadata().clone();
        for (name, leaf) in [POOLED, GRID] {
            let column = metadata.file_metadata().schema_descr().columns().get(leaf);
            if column.is_none_or(|column| column.path().parts()[0] != name) {
                return Err(bad(format!("column {name} is not where it is written")));
            }
        }
        let (keys, sums) = table::soundly(|| identities(builder)).map_err(bad)?;
        let sums = match (footer.get(sums::KEY), sums) {
            (Some(checksum), Some(rows)) if *checksum == sums::of_part(keys.iter(), &rows) => Some(rows),
            (None, _) => None,
            _ => {
                return Err(bad("its images and their checksums are not those that were written".to_owned()));
            }
        };
        let column = |(name, leaf), count, sum: fn(&RowSums) -> u32| {
            let sums = sums.as_ref().map(|rows| rows.iter().map(sum));
            let (column, pages) = Column::find(&metadata, leaf, count, sums).map_err(bad)?;
            if pages.len() != keys.len() {
                return Err(bad(format!("{} images with {} pages of {name}", keys.len(), pages.len())));
            }
            Ok((column, pages))
        };
        let pooled = column(POOLED, spec.channels, |sums| sums.pooled)?;
        let grid = column(GRID, spec.regions() * spec.channels, |sums| sums.grid)?;
        Ok(FeaturePart { path: path.to_owned(), file: part, spec, keys, footer, pooled, grid })
    }

    /// Whether it carries checksums: every row that is read is then compared with its own.
    pub fn is_checked(&self) -> bool {
        self.grid.0.is_checked()
    }

    /// Reads all rows, to find damage.
    ///
    /// # Errors
    ///
    /// Those of [`pooled`](Self::pooled) and [`grid`](Self::grid), for the first row that has one.
    pub fn verify(&self) -> Result<(), TableError> {
        let mut grid = Vec::new();
        for row in 0..self.keys.len() {
            grid.clear();
            self.grid(row, &mut grid)?;
            self.pooled(row)?;
        }
        Ok(())
    }

    /// All its rows, read one after the other.
    pub(super) fn into_rows(self) -> impl Iterator<Item = Result<FeatureRow, TableError>> {
        (0..self.keys.len()).map(move |row| {
            let mut grid = Vec::new();
            self.grid(row, &mut grid)?;
            Ok(FeatureRow { key: self.keys[row].clone(), pooled: self.pooled(row)?, grid })
        })
    }

    /// Whether it was made by this recipe.
    pub fn is_made_by(&self, recipe: &Recipe) -> bool {
        let wanted = table::metadata(KIND, recipe, &[]);
        wanted.iter().all(|(key, value)| self.footer.get(key) == Some(value))
    }

    /// The mean over the regions of row number `row`: `[channels]`.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more, the row is beyond its last, or its page is damaged.
    pub fn pooled(&self, row: usize) -> Result<Vec<f16>, TableError> {
        let mut pooled = Vec::new();
        self.numbers(&self.pooled, row, &mut pooled)?;
        Ok(pooled)
    }

    /// Appends the grid of row number `row`, `[regions × channels]`, to `grid`.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more, the row is beyond its last, or its page is damaged.
    pub fn grid(&self, row: usize, grid: &mut Vec<f16>) -> Result<(), TableError> {
        self.numbers(&self.grid, row, grid)
    }

    fn numbers(
        &self,
        (column, pages): &(Column, Vec<Page>),
        row: usize,
        out: &mut Vec<f16>,
    ) -> Result<(), TableError> {
        let bad = |reason: String| {
            let image = self.keys.get(row).map_or("none", |key| &key.image_id);
            malformed(&self.path, KIND, format!("{} of row {row}, image {image}: {reason}", column.name()))
        };
        let page = *pages.get(row).ok_or_else(|| bad(format!("there are {} rows", pages.len())))?;
        let file = self.file.open().map_err(|source| TableError::Io { path: self.path.clone(), source })?;
        column.append(file, page, out).map_err(bad)
    }
}

/// The identities of a part's rows, and the sums of their numbers where it has such columns.
fn identities(
    builder: ParquetRecordBatchReaderBuilder<Ahead>,
) -> Result<(Vec<FeatureKey>, Option<Vec<RowSums>>), String> {
    let columns = ["image_id", "split", "content_hash"];
    let mask =
        ProjectionMask::columns(builder.parquet_schema(), columns.into_iter().chain([POOLED_SUM, GRID_SUM]));
    let reader = builder.with_projection(mask).build().map_err(|error| error.to_string())?;
    let (mut keys, mut sums) = (Vec::new(), Vec::new());
    for batch in reader {
        let batch = batch.map_err(|error| error.to_string())?;
        let strings = columns.map(|name| batch.column_by_name(name)?.as_string_opt::<i32>());
        let [Some(ids), Some(splits), Some(hashes)] = strings else {
            return Err("column image_id, split or content_hash is missing or no text".to_owned());
        };
        for row in 0..batch.num_rows() {
            let split = splits.value(row);
            keys.push(FeatureKey {
                image_id: ids.value(row).to_owned(),
                split: Split::named(split).ok_or_else(|| format!("unknown split {split}"))?,
                content_hash: hashes.value(row).to_owned(),
            });
        }
        let numbers =
            [POOLED_SUM, GRID_SUM].map(|name| batch.column_by_name(name)?.as_primitive_opt::<UInt32Type>());
        if let [Some(pooled), Some(grid)] = numbers {
            let rows = pooled.values().iter().zip(grid.values());
            sums.extend(rows.map(|(&pooled, &grid)| RowSums { pooled, grid }));
        }
    }
    let complete = sums.len() == keys.len();
    Ok((keys, complete.then_some(sums)))
}
