//! Parquet tables of plain rows: one struct per schema, typed columns, provenance in the footer.
//!
//! Feature grids are too large for rows of Rust values and have a writer of their own in [`crate::features`].

use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::reader::ChunkReader;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic;
use crate::manifest::{ManifestError, read_promised};
use crate::recipe::Recipe;
use crate::tail;

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
    /// Not the file that was written, as the manifest beside it says.
    #[error(transparent)]
    Promised(#[from] ManifestError),
    /// Not Parquet, cut short, damaged, or with other columns than expected.
    #[error("{} cannot be read as {kind}: {reason}; delete it and run {maker} again", path.display())]
    Malformed {
        /// Path of the Parquet file.
        path: PathBuf,
        /// The schema that was expected.
        kind: &'static str,
        /// The program that writes it.
        maker: &'static str,
        /// The first fault found, in words.
        reason: String,
    },
}

/// A schema of ours.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Kept in the footer.
    pub name: &'static str,
    /// Raised when columns change their meaning.
    pub version: u32,
    /// The program that writes such files.
    pub maker: &'static str,
}

/// A row type with its Arrow schema.
pub trait Row: Serialize + DeserializeOwned {
    /// The schema.
    const KIND: Kind;
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
    write_batch(path, R::KIND, batch, recipe, extra)
}

/// Writes one batch as a file of its own, atomically, with provenance and `extra` in the footer.
pub(crate) fn write_batch(
    path: &Path,
    kind: Kind,
    batch: RecordBatch,
    recipe: &Recipe,
    extra: &[(&str, String)],
) -> Result<(), TableError> {
    let metadata = metadata(kind, recipe, extra);
    let fields = batch.schema_ref().fields().clone();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.iter().cloned().collect()));
    let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())
        .map_err(|error| malformed(path, kind, error.to_string()))?;
    let properties = properties(&metadata).build();
    atomic::write(path, |file| {
        let mut writer = ArrowWriter::try_new(&mut *file, schema, Some(properties))?;
        writer.write(&batch)?;
        let metadata = writer.close()?;
        tail::seal(file, &metadata)
    })
    .map_err(|error| not_written(path, error))
}

/// Reads all rows of a table and its footer metadata.
///
/// # Errors
///
/// The file is not there, not Parquet, or of another schema or version.
pub fn read<R: Row>(path: &Path) -> Result<(Vec<R>, HashMap<String, String>), TableError> {
    let (builder, metadata) = open_promised(path, R::KIND)?;
    let read = || -> Result<Vec<R>, String> {
        let mut rows = Vec::new();
        for batch in builder.build().map_err(|error| error.to_string())? {
            let batch = batch.map_err(|error| error.to_string())?;
            let part: Vec<R> = serde_arrow::from_record_batch(&batch).map_err(|error| error.to_string())?;
            rows.extend(part);
        }
        Ok(rows)
    };
    let rows = soundly(read).map_err(|reason| malformed(path, R::KIND, reason))?;
    Ok((rows, metadata))
}

/// A Parquet file and its footer metadata.
pub(crate) type Opened<F> = (ParquetRecordBatchReaderBuilder<F>, HashMap<String, String>);

/// Opens a table, all bytes of which are those that the manifest beside it promises.
pub(crate) fn open_promised(path: &Path, kind: Kind) -> Result<Opened<Bytes>, TableError> {
    open(path, Bytes::from(read_promised(path)?), kind, ArrowReaderOptions::new())
}

/// Opens the content of a Parquet file after checking that it is of the wanted kind and version.
pub(crate) fn open<F: ChunkReader + 'static>(
    path: &Path,
    file: F,
    kind: Kind,
    options: ArrowReaderOptions,
) -> Result<Opened<F>, TableError> {
    let malformed = |reason: String| malformed(path, kind, reason);
    tail::check(&file).map_err(|broken| malformed(broken.to_string()))?;
    let build = || ParquetRecordBatchReaderBuilder::try_new_with_options(file, options);
    let builder = soundly(|| build().map_err(|error| error.to_string())).map_err(malformed)?;
    let metadata = footer(builder.metadata().file_metadata().key_value_metadata());
    let found = metadata.get(KIND_KEY).map(String::as_str).unwrap_or("no artifact of ours");
    if found != kind.name {
        return Err(malformed(format!("it holds {found}")));
    }
    let found = metadata.get(VERSION_KEY).map(String::as_str).unwrap_or("none");
    if found != kind.version.to_string() {
        return Err(malformed(format!("its schema version is {found}, this program reads {}", kind.version)));
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

/// The footer of a table that this recipe made with these entries beside it; `None` where there is none, or another.
pub fn is_made_by<R: Row>(
    path: &Path,
    recipe: &Recipe,
    extra: &[(&str, String)],
) -> Option<HashMap<String, String>> {
    let found = read_metadata(path).ok()?;
    let wanted = metadata(R::KIND, recipe, extra);
    wanted.iter().all(|(key, value)| found.get(key) == Some(value)).then_some(found)
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

/// Parquet of whatever kind.
const ANY: Kind = Kind { name: "Parquet", version: 0, maker: "the program that writes it" };

fn load_footer(path: &Path) -> Result<ArrowReaderMetadata, TableError> {
    let file = File::open(path).map_err(|source| TableError::Io { path: path.to_owned(), source })?;
    tail::check(&file).map_err(|broken| malformed(path, ANY, broken.to_string()))?;
    let load = || ArrowReaderMetadata::load(&file, Default::default()).map_err(|error| error.to_string());
    soundly(load).map_err(|reason| malformed(path, ANY, reason))
}

/// What the reader of Parquet gives. It believes the sizes in a file, and panics where they contradict each other.
///
/// # Errors
/// Those of `read`, and a panic in it.
pub fn soundly<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let contradiction = |_| Err("its sizes contradict each other".to_owned());
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(contradiction)
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

pub(crate) fn malformed(path: &Path, kind: Kind, reason: String) -> TableError {
    TableError::Malformed { path: path.to_owned(), kind: kind.name, maker: kind.maker, reason }
}

/// Footer entries of an artifact: kind, version, fingerprint, provenance, then `extra`.
pub(crate) fn metadata(kind: Kind, recipe: &Recipe, extra: &[(&str, String)]) -> Vec<(String, String)> {
    let provenance = recipe.provenance().to_string();
    let own = [
        (KIND_KEY, kind.name.to_owned()),
        (VERSION_KEY, kind.version.to_string()),
        (FINGERPRINT_KEY, crate::recipe::digest(provenance.as_bytes())),
        (PROVENANCE_KEY, provenance),
    ];
    own.into_iter().chain(extra.iter().cloned()).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Writer settings that all our Parquet files share.
pub(crate) fn properties(metadata: &[(String, String)]) -> WriterPropertiesBuilder {
    let pairs = metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let pairs = pairs.chain([KeyValue::new(tail::KEY.to_owned(), tail::open())]).collect();
    WriterProperties::builder()
        .set_created_by("image-captioning".to_owned())
        .set_key_value_metadata(Some(pairs))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
}
