//! A table of images and captions as Parquet: `metadata.parquet` of Hugging Face's `imagefolder`.

use std::fs::File;
use std::path::Path;

use annotations::table::{self, Table};
use arrow_schema::DataType;
use artifacts::table::soundly;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use super::LayoutError;

/// Its name, as the library wants it.
pub(super) const NAME: &str = "metadata.parquet";

/// The rows of `file`, read by the rules of all tables.
///
/// # Errors
/// A file that is no Parquet, or one that holds images themselves, which another layout reads.
pub(super) fn read(file: &Path) -> Result<Table, LayoutError> {
    let failed = |reason: String| LayoutError::Parquet { path: file.to_owned(), reason };
    let open = File::open(file).map_err(|source| LayoutError::Io { path: file.to_owned(), source })?;
    let lines = soundly(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(open).map_err(|error| error.to_string())?;
        let fields = builder.schema().fields().iter().enumerate();
        if images::columns::ImageColumn::find(builder.schema())
            .is_ok_and(|column| column.leaf(builder.parquet_schema()).is_some())
        {
            return Err("it holds the images themselves: use layout = \"parquet\"".to_owned());
        }
        let is_text = |data_type: &DataType| !matches!(data_type, DataType::Struct(_) | DataType::Binary);
        let roots: Vec<usize> =
            fields.filter(|(_, field)| is_text(field.data_type())).map(|(root, _)| root).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let reader = builder.with_projection(mask).build().map_err(|error| error.to_string())?;
        let mut lines = String::new();
        for batch in reader {
            let batch = batch.map_err(|error| error.to_string())?;
            let rows: Vec<Map<String, Value>> =
                serde_arrow::from_record_batch(&batch).map_err(|error| error.to_string())?;
            for row in rows {
                lines += &Value::Object(row).to_string();
                lines.push('\n');
            }
        }
        Ok(lines)
    });
    Ok(table::parse(file, &lines.map_err(failed)?)?)
}
