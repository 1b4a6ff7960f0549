//! Features that another program wrote: any Parquet file with a column `image_id` and a column `grid`, a list of regions
//! that are lists of numbers.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use crate::table::{self, Kind, TableError, malformed};

const KIND: Kind = Kind { name: "features of another program", version: 0, maker: "that program" };
const COLUMNS: [&str; 2] = ["image_id", "grid"];
/// Rows in memory at a time.
const BATCH: usize = 16;

/// The grid of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignRow {
    /// As the other program wrote it; numbers as their digits.
    pub image_id: String,
    /// Regions of the grid.
    pub regions: usize,
    /// Row by row, `[regions × channels]`.
    pub grid: Vec<f32>,
}

/// The rows of one file, in their order.
pub struct ForeignRows {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    rows: std::vec::IntoIter<ForeignRow>,
    read: usize,
}

impl ForeignRows {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is not Parquet, or lacks one of the columns.
    pub fn open(path: &Path) -> Result<ForeignRows, TableError> {
        let bad = |reason: String| malformed(path, KIND, reason);
        let file = File::open(path).map_err(|source| TableError::Io { path: path.to_owned(), source })?;
        // Without Arrow's own schema there is one kind of list and one of text.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let open = || {
            let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options);
            let builder = builder.map_err(|error| error.to_string())?;
            let has = |name: &str| builder.schema().column_with_name(name).is_some();
            if let Some(missing) = COLUMNS.into_iter().find(|name| !has(name)) {
                let names: Vec<&str> =
                    builder.schema().fields().iter().map(|field| field.name().as_str()).collect();
                return Err(format!("it has no column {missing}, but {}", names.join(", ")));
            }
            let mask = ProjectionMask::roots(
                builder.parquet_schema(),
                COLUMNS.into_iter().filter_map(|name| Some(builder.schema().column_with_name(name)?.0)),
            );
            builder.with_projection(mask).with_batch_size(BATCH).build().map_err(|error| error.to_string())
        };
        let batches = table::soundly(open).map_err(bad)?;
        Ok(ForeignRows { path: path.to_owned(), batches, rows: vec![].into_iter(), read: 0 })
    }

    fn next_batch(&mut self) -> Option<Result<Vec<ForeignRow>, TableError>> {
        let batches = &mut self.batches;
        let next = table::soundly(|| match batches.next() {
            None => Ok(None),
            Some(batch) => rows_of(&batch.map_err(|error| error.to_string())?, self.read).map(Some),
        });
        let rows = next.map_err(|reason| malformed(&self.path, KIND, reason)).transpose()?;
        self.read += rows.as_ref().map_or(0, Vec::len);
        Some(rows)
    }
}

impl Iterator for ForeignRows {
    type Item = Result<ForeignRow, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(Ok(row));
            }
            match self.next_batch()? {
                Ok(rows) => self.rows = rows.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn rows_of(batch: &RecordBatch, first: usize) -> Result<Vec<ForeignRow>, String> {
    let [ids, grids] = COLUMNS.map(|name| batch.column_by_name(name));
    let (Some(ids), Some(grids)) = (ids, grids) else { return Err("a column is missing".to_owned()) };
    let row = |at: usize| {
        let regions = grids.as_list_opt::<i32>().map(|grids| grids.value(at)).ok_or("grid is no list")?;
        let numbers =
            regions.as_list_opt::<i32>().ok_or("grid is no list of regions, each a list of numbers")?;
        let lengths = || numbers.offsets().lengths();
        let channels = lengths().next().unwrap_or(0);
        if channels == 0 || lengths().any(|length| length != channels) || numbers.null_count() > 0 {
            return Err("its regions are not all of as many numbers".to_owned());
        }
        let regions = numbers.len();
        let [start, end] = [numbers.offsets()[0], numbers.offsets()[regions]];
        let grid = floats(&numbers.values().slice(start as usize, (end - start) as usize))?;
        Ok(ForeignRow { image_id: text(ids, at)?, regions, grid })
    };
    (0..batch.num_rows())
        .map(|at| row(at).map_err(|reason| format!("row {}: {reason}", first + at)))
        .collect()
}

fn text(column: &ArrayRef, at: usize) -> Result<String, String> {
    if column.is_null(at) {
        return Err("image_id is missing".to_owned());
    }
    match column.data_type() {
        DataType::Utf8 => Ok(column.as_string::<i32>().value(at).to_owned()),
        DataType::Int64 => Ok(column.as_primitive::<Int64Type>().value(at).to_string()),
        DataType::Int32 => Ok(column.as_primitive::<Int32Type>().value(at).to_string()),
        other => Err(format!("image_id is {other}, not text")),
    }
}

fn floats(column: &ArrayRef) -> Result<Vec<f32>, String> {
    let numbers: Vec<f32> = match column.data_type() {
        DataType::Float16 => {
            column.as_primitive::<Float16Type>().values().iter().map(|x| x.to_f32()).collect()
        }
        DataType::Float32 => column.as_primitive::<Float32Type>().values().to_vec(),
        DataType::Float64 => {
            column.as_primitive::<Float64Type>().values().iter().map(|&x| x as f32).collect()
        }
        other => return Err(format!("grid holds {other}, not floating-point numbers")),
    };
    if column.null_count() > 0 || numbers.iter().any(|number| !number.is_finite()) {
        return Err("grid holds numbers that are missing or not finite".to_owned());
    }
    Ok(numbers)
}
