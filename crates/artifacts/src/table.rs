//! Parquet tables of plain rows: one struct per schema, typed columns, provenance in the footer.
//!
//! Feature grids are too large for rows of Rust values and have a writer of their own in [`crate::features`].

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic;
use crate::recipe::Recipe;

/// Footer key that says which schema a file follows.
pub const KIND_KEY: &str = "captioning.kind";
const VERSION_KEY: &str = "captioning.schema_version";
const FINGERPRINT_KEY: &str = "captioning.fingerprint";
const PROVENANCE_KEY: &str = "captioning.provenance";

/// A table that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the Parquet file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The disk is full, say; what was there before is untouched.
    #[error("cannot write {}: {reason}; put that right and run the stage again", path.display())]
    Write {
        /// Path of the Parquet file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Not Parquet, cut short, or with other columns than expected.
    #[error("{} cannot be read as {kind}: {reason}; run the stage that writes it again", path.display())]
    Malformed {
        /// Path of the Parquet file.
        path: PathBuf,
        /// The schema that was expected.
        kind: String,
        /// The first fault found, in words.
        reason: String,
    },
}

/// A row type with its Arrow schema.
pub trait Row: Serialize + DeserializeOwned {
    /// Name of the schema, kept in the footer.
    const KIND: &'static str;
    /// Raised when columns change their meaning.
    const VERSION: u32;
    /// The columns in order.
    fn fields() -> Vec<Field>;
}

/// Writes all rows as one file, atomically; `extra` goes into the footer beside the provenance.
///
/// # Errors
///
/// The file cannot be written; an older one is untouched then.
pub fn write<R: Row>(
    path: &Path,
    rows: &[R],
    recipe: &Recipe,
    extra: &[(&str, String)],
) -> Result<(), TableError> {
    let fields: Vec<_> = R::fields().into_iter().map(Arc::new).collect();
    let malformed = |reason: String| malformed(path, R::KIND, reason);
    let batch = serde_arrow::to_record_batch(&fields, &rows).map_err(|error| malformed(error.to_string()))?;
    write_batch(path, R::KIND, R::VERSION, batch, recipe, extra)
}

/// Writes one batch as a file of its own, atomically, with provenance and `extra` in the footer.
pub(crate) fn write_batch(
    path: &Path,
    kind: &str,
    version: u32,
    batch: RecordBatch,
    recipe: &Recipe,
    extra: &[(&str, String)],
) -> Result<(), TableError> {
    let metadata = metadata(kind, version, recipe, extra);
    let fields = batch.schema_ref().fields().clone();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.iter().cloned().collect()));
    let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())
        .map_err(|error| malformed(path, kind, error.to_string()))?;
    let properties = properties(&metadata).build();
    atomic::write(path, |file| {
        let mut writer = ArrowWriter::try_new(file, schema, Some(properties))?;
        writer.write(&batch)?;
        writer.close()?;
        Ok::<_, ParquetError>(())
    })
    .map_err(|error| not_written(path, error))
}

/// Reads all rows of a table and its footer metadata.
///
/// # Errors
///
/// The file is not there, not Parquet, or of another schema or version.
pub fn read<R: Row>(path: &Path) -> Result<(Vec<R>, HashMap<String, String>), TableError> {
    let (builder, metadata) = open(path, R::KIND, R::VERSION, ArrowReaderOptions::new())?;
    let malformed = |reason: String| malformed(path, R::KIND, reason);
    let reader = builder.build().map_err(|error| malformed(error.to_string()))?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| malformed(error.to_string()))?;
        let part: Vec<R> =
            serde_arrow::from_record_batch(&batch).map_err(|error| malformed(error.to_string()))?;
        rows.extend(part);
    }
    Ok((rows, metadata))
}

/// Opens a Parquet file after checking that it is of the wanted kind and version.
pub(crate) fn open(
    path: &Path,
    kind: &str,
    version: u32,
    options: ArrowReaderOptions,
) -> Result<(ParquetRecordBatchReaderBuilder<File>, HashMap<String, String>), TableError> {
    let malformed = |reason: String| malformed(path, kind, reason);
    let file = File::open(path).map_err(|source| TableError::Io { path: path.to_owned(), source })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(|error| malformed(error.to_string()))?;
    let metadata = footer(builder.metadata().file_metadata().key_value_metadata());
    let found = metadata.get(KIND_KEY).map(String::as_str).unwrap_or("no artifact of ours");
    if found != kind {
        return Err(malformed(format!("it holds {found}")));
    }
    let found = metadata.get(VERSION_KEY).map(String::as_str).unwrap_or("none");
    if found != version.to_string() {
        return Err(malformed(format!("its schema version is {found}, this program reads {version}")));
    }
    Ok((builder, metadata))
}

/// The footer metadata of any Parquet file.
///
/// # Errors
///
/// The file is not there, or not Parquet.
pub fn read_metadata(path: &Path) -> Result<HashMap<String, String>, TableError> {
    let loaded = load_footer(path)?;
    Ok(footer(loaded.metadata().file_metadata().key_value_metadata()))
}

/// The rows of any Parquet file, from its footer.
///
/// # Errors
///
/// The file is not there, or not Parquet.
pub fn row_count(path: &Path) -> Result<u64, TableError> {
    let loaded = load_footer(path)?;
    Ok(loaded.metadata().file_metadata().num_rows().max(0) as u64)
}

/// The columns of any Parquet file, each with its Arrow type in words.
///
/// # Errors
///
/// The file is not there, not Parquet, or has columns that Arrow does not know.
pub fn columns(path: &Path) -> Result<Vec<(String, String)>, TableError> {
    let loaded = load_footer(path)?;
    let fields = loaded.schema().fields().iter();
    Ok(fields.map(|field| (field.name().clone(), field.data_type().to_string())).collect())
}

fn load_footer(path: &Path) -> Result<ArrowReaderMetadata, TableError> {
    let file = File::open(path).map_err(|source| TableError::Io { path: path.to_owned(), source })?;
    ArrowReaderMetadata::load(&file, Default::default())
        .map_err(|error| malformed(path, "Parquet", error.to_string()))
}

fn footer(pairs: Option<&Vec<KeyValue>>) -> HashMap<String, String> {
    let pairs = pairs.into_iter().flatten();
    pairs.map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default())).collect()
}

/// The system's own word, where there is one.
pub(crate) fn not_written(path: &Path, error: ParquetError) -> TableError {
    let reason = match error {
        ParquetError::External(source) => source.to_string(),
        other => other.to_string(),
    };
    TableError::Write { path: path.to_owned(), reason }
}

/// What cannot be written because it is no table.
pub(crate) fn refused(path: &Path, reason: String) -> TableError {
    TableError::Write { path: path.to_owned(), reason }
}

pub(crate) fn malformed(path: &Path, kind: &str, reason: String) -> TableError {
    TableError::Malformed { path: path.to_owned(), kind: kind.to_owned(), reason }
}

/// Footer entries of an artifact: kind, version, fingerprint, provenance, then `extra`.
pub(crate) fn metadata(
    kind: &str,
    version: u32,
    recipe: &Recipe,
    extra: &[(&str, String)],
) -> Vec<(String, String)> {
    let provenance = recipe.provenance().to_string();
    let own = [
        (KIND_KEY, kind.to_owned()),
        (VERSION_KEY, version.to_string()),
        (FINGERPRINT_KEY, crate::recipe::digest(provenance.as_bytes())),
        (PROVENANCE_KEY, provenance),
    ];
    own.into_iter().chain(extra.iter().cloned()).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Writer settings that all our Parquet files share.
pub(crate) fn properties(metadata: &[(String, String)]) -> WriterPropertiesBuilder {
    let pairs = metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    WriterProperties::builder()
        .set_created_by("image-captioning".to_owned())
        .set_key_value_metadata(Some(pairs))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
}
