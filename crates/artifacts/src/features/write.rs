//! Writing a part, and knowing a complete one again.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::{Float16Type, Float32Type};
use arrow_array::{ArrayRef, FixedSizeListArray, PrimitiveArray, RecordBatch, StringArray, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema};
use half::f16;
use half::slice::HalfFloatSliceExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::properties::EnabledStatistics;
use parquet::schema::types::ColumnPath;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use super::sums::{self, GRID_SUM, POOLED_SUM, RowSums};
use super::{
    CONTENT_KEY, Dtype, FeatureKey, FeatureRow, FeatureSpec, KIND, SKIPPED_KEY, SPEC_KEY, part_content,
};
use crate::atomic;
use crate::manifest::Warning;
use crate::recipe::Recipe;
use crate::table::{self, TableError, not_written};
use crate::tail;

/// A group is encoded by one thread.
const ROWS_PER_GROUP: usize = 64;

/// The images skipped by a complete part made from the same recipe and images (their [`part_content`]); `None` when it must be made (again).
pub fn complete_part(path: &Path, recipe: &Recipe, content: &str) -> Option<Vec<Warning>> {
    let found = table::read_metadata(path).ok()?;
    let wanted = table::metadata(KIND, recipe, &[(CONTENT_KEY, content.to_owned())]);
    let same = wanted.iter().all(|(key, value)| found.get(key) == Some(value));
    same.then(|| serde_json::from_str(found.get(SKIPPED_KEY)?).ok())?
}

/// Writes one part atomically.
///
/// # Errors
///
/// The file cannot be written; nothing of it is left then.
pub fn write_part(
    path: &Path,
    spec: &FeatureSpec,
    dtype: Dtype,
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
    let mut metadata = table::metadata(KIND, recipe, &extra);
    let sum = |row: &FeatureRow| RowSums { pooled: sums::of(&row.pooled), grid: sums::of(&row.grid) };
    let row_sums: Vec<RowSums> = rows.par_iter().map(sum).collect();
    let checksum = sums::of_part(rows.iter().map(|row| &row.key), &row_sums);
    metadata.push((sums::KEY.to_owned(), checksum));
    let schema = Arc::new(schema(spec, dtype, metadata.iter().cloned().collect()));
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
        let writer = ArrowWriter::try_new(&mut *file, schema.clone(), Some(properties))?;
        let (mut writer, groups) = writer.into_serialized_writer()?;
        let encode = |(number, (rows, sums))| -> Result<_, ParquetError> {
            encode(groups.create_column_writers(number)?, &record_batch(&schema, spec, dtype, rows, sums)?)
        };
        let chunks = rows.par_chunks(ROWS_PER_GROUP).zip(row_sums.par_chunks(ROWS_PER_GROUP));
        let encoded: Vec<_> = chunks.enumerate().map(encode).collect::<Result<_, _>>()?;
        for columns in encoded {
            let mut group = writer.next_row_group()?;
            columns.into_iter().try_for_each(|column| column.append_to_row_group(&mut group))?;
            group.close()?;
        }
        let metadata = writer.close()?;
        tail::seal(file, &metadata)
    })
    .map_err(|error| not_written(path, error))
}

/// The columns of one row group, compressed; every column of ours is one leaf.
fn encode(
    writers: Vec<ArrowColumnWriter>,
    batch: &RecordBatch,
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).zip(writers);
    let encode = |((field, array), mut writer): ((&FieldRef, &ArrayRef), ArrowColumnWriter)| {
        // Row by row: of each number in half precision the writer makes an object of some forty bytes.
        for row in 0..array.len() {
            compute_leaves(field, &array.slice(row, 1))?.iter().try_for_each(|leaf| writer.write(leaf))?;
        }
        writer.close()
    };
    columns.map(encode).collect()
}

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, false))
}

fn number(dtype: Dtype) -> DataType {
    match dtype {
        Dtype::F16 => DataType::Float16,
        Dtype::F32 => DataType::Float32,
    }
}

fn schema(spec: &FeatureSpec, dtype: Dtype, metadata: HashMap<String, String>) -> Schema {
    let channels = DataType::FixedSizeList(item(number(dtype)), spec.channels as i32);
    let grid = DataType::FixedSizeList(item(channels.clone()), spec.regions() as i32);
    let fields = vec![
        Field::new("image_id", DataType::Utf8, false),
        Field::new("split", DataType::Utf8, false),
        Field::new("content_hash", DataType::Utf8, false),
        Field::new("pooled", channels, false),
        Field::new("grid", grid, false),
        Field::new(POOLED_SUM, DataType::UInt32, false),
        Field::new(GRID_SUM, DataType::UInt32, false),
    ];
    Schema::new_with_metadata(fields, metadata)
}

fn record_batch(
    schema: &Arc<Schema>,
    spec: &FeatureSpec,
    dtype: Dtype,
    rows: &[FeatureRow],
    sums: &[RowSums],
) -> Result<RecordBatch, ArrowError> {
    let strings = |get: fn(&FeatureRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(get)))
    };
    let pooled: Vec<&[f16]> = rows.iter().map(|row| row.pooled.as_slice()).collect();
    let grid: Vec<&[f16]> = rows.iter().map(|row| row.grid.as_slice()).collect();
    let grid = lists(channels(&grid, dtype, spec)?, spec.regions())?;
    let columns: Vec<ArrayRef> = vec![
        strings(|row| &row.key.image_id),
        strings(|row| row.key.split.as_str()),
        strings(|row| &row.key.content_hash),
        channels(&pooled, dtype, spec)?,
        grid,
        Arc::new(UInt32Array::from_iter_values(sums.iter().map(|sums| sums.pooled))),
        Arc::new(UInt32Array::from_iter_values(sums.iter().map(|sums| sums.grid))),
    ];
    RecordBatch::try_new(schema.clone(), columns)
}

/// All numbers of some rows, a list for each region.
fn channels(rows: &[&[f16]], dtype: Dtype, spec: &FeatureSpec) -> Result<ArrayRef, ArrowError> {
    let numbers = rows.concat();
    let numbers: ArrayRef = match dtype {
        Dtype::F16 => Arc::new(PrimitiveArray::<Float16Type>::from(numbers)),
        Dtype::F32 => Arc::new(PrimitiveArray::<Float32Type>::from(numbers.to_f32_vec())),
    };
    lists(numbers, spec.channels)
}

fn lists(values: ArrayRef, length: usize) -> Result<ArrayRef, ArrowError> {
    let item = item(values.data_type().clone());
    Ok(Arc::new(FixedSizeListArray::try_new(item, length as i32, values, None)?))
}
