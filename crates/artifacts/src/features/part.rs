//! Reading a part, all its identities at once and its numbers a row at a time.
//!
//! A row's numbers are one page, so reading them is finding the page, decompressing it, and taking what follows the
//! level headers: no Arrow array is built. That is what makes a random row as cheap as a sequential one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use half::f16;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::stored::{Opened, PartFile, Stored};
use super::sums::{self, GRID_SUM, POOLED_SUM, RowSums};
use super::{FeatureKey, FeatureSpec, KIND, SPEC_KEY};
use crate::recipe::Recipe;
use crate::split::Split;
use crate::table::{self, TableError, malformed};

/// An open part: its footer and identities are in memory, its numbers on disk.
pub struct FeaturePart {
    /// The file's path or, of one in a store, its address.
    pub path: PathBuf,
    file: PartFile,
    /// What made its features.
    pub spec: FeatureSpec,
    /// Its images, in order.
    pub keys: Vec<FeatureKey>,
    footer: HashMap<String, String>,
    /// The CRC-32 of each row's numbers; none in a part that carries no checksums.
    sums: Option<Vec<RowSums>>,
    metadata: Arc<ParquetMetaData>,
    /// Row groups' first rows, then the number of rows.
    starts: Vec<usize>,
}

/// A column of numbers, by its name and its place among the leaves of the schema.
struct Column {
    name: &'static str,
    leaf: usize,
    sum: fn(&RowSums) -> u32,
}

const POOLED: Column = Column { name: "pooled", leaf: 3, sum: |sums| sums.pooled };
const GRID: Column = Column { name: "grid", leaf: 4, sum: |sums| sums.grid };

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
        let (builder, footer) = table::open(path, file, KIND, options)?;
        let text = footer.get(SPEC_KEY).map(String::as_str).unwrap_or_default();
        let spec: FeatureSpec =
            serde_json::from_str(text).map_err(|error| bad(format!("footer entry {SPEC_KEY}: {error}")))?;
        let metadata = builder.metadata().clone();
        for Column { name, leaf, .. } in [POOLED, GRID] {
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
        let mut starts = vec![0];
        for group in metadata.row_groups() {
            starts.push(starts[starts.len() - 1] + group.num_rows().max(0) as usize);
        }
        Ok(FeaturePart { path: path.to_owned(), file: part, spec, keys, footer, sums, metadata, starts })
    }

    /// Whether it carries checksums: every row that is read is then compared with its own.
    pub fn is_checked(&self) -> bool {
        self.sums.is_some()
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
        self.numbers(&POOLED, row, self.spec.channels, &mut pooled)?;
        Ok(pooled)
    }

    /// Appends the grid of row number `row`, `[regions × channels]`, to `grid`.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more, the row is beyond its last, or its page is damaged.
    pub fn grid(&self, row: usize, grid: &mut Vec<f16>) -> Result<(), TableError> {
        self.numbers(&GRID, row, self.spec.regions() * self.spec.channels, grid)
    }

    fn numbers(
        &self,
        column: &Column,
        row: usize,
        count: usize,
        out: &mut Vec<f16>,
    ) -> Result<(), TableError> {
        let bad = |reason: String| {
            let image = self.keys.get(row).map_or("none", |key| &key.image_id);
            malformed(&self.path, KIND, format!("{} of row {row}, image {image}: {reason}", column.name))
        };
        let file = self.file.open().map_err(|source| TableError::Io { path: self.path.clone(), source })?;
        let read = || self.page(file, column.leaf, row).map_err(|error| error.to_string());
        let page = table::soundly(read).map_err(bad)?;
        let before = out.len();
        match page {
            Some(Page::DataPage { buf, num_values, encoding: Encoding::PLAIN, .. })
                if num_values as usize == count =>
            {
                append(&buf, count, out)
                    .ok_or_else(|| bad("the page is too short, or has missing values".to_owned()))?;
            }
            _ => return Err(bad("not one plain page per row, as it was written".to_owned())),
        }
        let promised = self.sums.as_ref().and_then(|sums| sums.get(row)).map(column.sum);
        if promised.is_some_and(|promised| promised != sums::of(&out[before..])) {
            out.truncate(before);
            return Err(bad("its numbers do not fit their checksum".to_owned()));
        }
        Ok(())
    }

    fn page(&self, file: Opened, leaf: usize, row: usize) -> parquet::errors::Result<Option<Page>> {
        let group = self.starts.partition_point(|&start| start <= row).saturating_sub(1);
        let Some(columns) = self.metadata.row_groups().get(group) else { return Ok(None) };
        let pages = self.metadata.offset_index().and_then(|index| index.get(group)?.get(leaf));
        let pages = pages.map(|index| index.page_locations().as_slice()).unwrap_or_default();
        let number = row - self.starts[group];
        let (Some(first), Some(wanted)) = (pages.first(), pages.get(number)) else { return Ok(None) };
        let rows = columns.num_rows().max(0) as usize;
        if pages.len() != rows {
            return Ok(None);
        }
        // The reader takes space before the first page for a dictionary, so the first page must be named, and skipped.
        let locations = if number == 0 { vec![first.clone()] } else { vec![first.clone(), wanted.clone()] };
        let mut reader =
            SerializedPageReader::new(Arc::new(file), columns.column(leaf), rows, Some(locations))?;
        if number > 0 {
            reader.skip_next_page()?;
        }
        reader.get_next_page()
    }
}

/// Takes `count` numbers off a page without missing values: behind two blocks of levels, each with its length in front.
fn append(page: &[u8], count: usize, out: &mut Vec<f16>) -> Option<()> {
    let mut values = page;
    for _levels in ["repetition", "definition"] {
        let (length, rest) = values.split_first_chunk::<4>()?;
        values = rest.get(u32::from_le_bytes(*length) as usize..)?;
    }
    if values.len() == 2 * count {
        out.extend(values.as_chunks::<2>().0.iter().map(|&bytes| f16::from_le_bytes(bytes)));
    } else if values.len() == 4 * count {
        out.extend(values.as_chunks::<4>().0.iter().map(|&bytes| f16::from_f32(f32::from_le_bytes(bytes))));
    } else {
        return None;
    }
    Some(())
}

/// The identities of a part's rows, and the sums of their numbers where it has such columns.
fn identities(
    builder: ParquetRecordBatchReaderBuilder<Opened>,
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
