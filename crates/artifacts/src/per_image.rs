//! `per_image.parquet`: every generated caption with its own scores.
//!
//! Beside the fixed columns of [`PerImageRow`] there is one for each metric that was computed, named by its key, and for
//! metrics whose numbers come from another program one for its statistics. Which metrics there are is not known here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, ListArray, RecordBatch};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;
use crate::table::{self, Kind, TableError, malformed};

/// File name in the evaluation folder.
pub const FILE: &str = "per_image.parquet";
const KIND: Kind = Kind { name: "per_image", version: 2, maker: "evaluate" };
/// What follows a metric's key in the name of the column with its statistics.
const STATISTICS: &str = "_statistics";

/// One image of the evaluated split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerImageRow {
    /// As in `images/part-*.parquet`.
    pub image_id: String,
    /// The generated sentence.
    pub caption: String,
    /// The words of the sentence, as metrics compare them.
    pub words: Vec<String>,
    /// Sum of the log-probabilities of its tokens.
    pub log_probability: f64,
    /// Whether the search ended it with `<eos>` (otherwise it was cut at the longest allowed length).
    pub finished: bool,
    /// The captions people wrote.
    pub references: Vec<String>,
    /// The words of each of them.
    pub reference_words: Vec<Vec<String>>,
}

impl PerImageRow {
    fn fields() -> Vec<Field> {
        let text = |name| Field::new(name, DataType::Utf8, false);
        let list = |name, item: Field| Field::new(name, DataType::List(item.into()), false);
        vec![
            text("image_id"),
            text("caption"),
            list("words", text("item")),
            Field::new("log_probability", DataType::Float64, false),
            Field::new("finished", DataType::Boolean, false),
            list("references", text("item")),
            list("reference_words", list("item", text("item"))),
        ]
    }
}

/// The whole table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PerImage {
    /// The images with their captions.
    pub rows: Vec<PerImageRow>,
    /// By a metric's key, the score of each row.
    pub scores: BTreeMap<String, Vec<f64>>,
    /// By a metric's key, what another program counted in each row.
    pub statistics: BTreeMap<String, Vec<Vec<f64>>>,
}

impl PerImage {
    /// Writes the table, atomically.
    ///
    /// # Errors
    /// When the file cannot be written, or a column has another length than there are rows.
    pub fn write(&self, path: &Path, recipe: &Recipe) -> Result<(), TableError> {
        let batch = self.batch().map_err(|reason| table::refused(path, reason))?;
        table::write_batch(path, KIND, batch, recipe, &[])
    }

    /// Reads a table.
    ///
    /// # Errors
    /// When the file is not there, or is not a table of this kind and version.
    pub fn read(path: &Path) -> Result<PerImage, TableError> {
        let (builder, _) = table::open_promised(path, KIND)?;
        let malformed = |reason: String| malformed(path, KIND, reason);
        let mut all = PerImage::default();
        for batch in builder.build().map_err(|error| malformed(error.to_string()))? {
            let batch = batch.map_err(|error| malformed(error.to_string()))?;
            all.extend(&batch).map_err(malformed)?;
        }
        Ok(all)
    }

    fn batch(&self) -> Result<RecordBatch, String> {
        let fixed: Vec<_> = PerImageRow::fields().into_iter().map(Arc::new).collect();
        let rows = serde_arrow::to_record_batch(&fixed, &self.rows).map_err(|error| error.to_string())?;
        let mut fields: Vec<Field> = PerImageRow::fields();
        let mut columns = rows.columns().to_vec();
        for (key, values) in &self.scores {
            fields.push(Field::new(key, DataType::Float64, false));
            columns.push(Arc::new(Float64Array::from(values.clone())));
        }
        for (key, rows) in &self.statistics {
            let item = Arc::new(Field::new("item", DataType::Float64, false));
            fields.push(Field::new(format!("{key}{STATISTICS}"), DataType::List(item.clone()), false));
            let offsets = OffsetBuffer::from_lengths(rows.iter().map(Vec::len));
            let values: ArrayRef = Arc::new(Float64Array::from(rows.concat()));
            columns.push(Arc::new(ListArray::new(item, offsets, values, None)));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| error.to_string())
    }

    /// Takes in the rows of a batch.
    fn extend(&mut self, batch: &RecordBatch) -> Result<(), String> {
        let fixed: Vec<String> =
            PerImageRow::fields().into_iter().map(|field| field.name().clone()).collect();
        let places: Result<Vec<usize>, ArrowError> =
            fixed.iter().map(|name| batch.schema_ref().index_of(name)).collect();
        let rows = places.and_then(|places| batch.project(&places)).map_err(|error| error.to_string())?;
        let rows: Vec<PerImageRow> =
            serde_arrow::from_record_batch(&rows).map_err(|error| error.to_string())?;
        self.rows.extend(rows);
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let name = field.name();
            if fixed.contains(name) {
                continue;
            }
            if let Some(values) = column.as_primitive_opt::<Float64Type>() {
                self.scores.entry(name.clone()).or_default().extend(values.values());
            } else if let (Some(key), Some(lists)) =
                (name.strip_suffix(STATISTICS), column.as_list_opt::<i32>())
            {
                let row =
                    |at| lists.value(at).as_primitive_opt::<Float64Type>().map(|list| list.values().to_vec());
                let rows: Option<Vec<Vec<f64>>> = (0..lists.len()).map(row).collect();
                let rows = rows.ok_or_else(|| format!("{name} holds no numbers"))?;
                self.statistics.entry(key.to_owned()).or_default().extend(rows);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(image: usize) -> PerImageRow {
        PerImageRow {
            image_id: image.to_string(),
            caption: "A dog.".to_owned(),
            words: vec!["a".to_owned(), "dog".to_owned()],
            log_probability: -1.5,
            finished: true,
            references: vec!["A cat!".to_owned(), ".".to_owned()],
            reference_words: vec![vec!["a".to_owned(), "cat".to_owned()], vec![]],
        }
    }

    fn table() -> PerImage {
        PerImage {
            rows: vec![row(1), row(2)],
            scores: BTreeMap::from([
                ("some".to_owned(), vec![0.25, 0.1]),
                ("other".to_owned(), vec![1.0, 0.0]),
            ]),
            statistics: BTreeMap::from([("other".to_owned(), vec![vec![3.0, 1.0], vec![]])]),
        }
    }

    fn recipe() -> Recipe {
        Recipe::new("test", 1, &serde_json::json!({})).unwrap()
    }

    #[test]
    fn scores_of_any_metric_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        table().write(&path, &recipe()).unwrap();
        assert_eq!(PerImage::read(&path).unwrap(), table());
        let columns: Vec<String> = table::columns(&path).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(columns[7..], ["other", "some", "other_statistics"]);
    }

    #[test]
    fn a_column_of_another_length_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut short = table();
        short.scores.insert("short".to_owned(), vec![1.0]);
        let refused = short.write(&folder.path().join(FILE), &recipe()).unwrap_err().to_string();
        assert!(refused.contains("cannot write") && refused.contains(FILE), "{refused}");
    }
}
