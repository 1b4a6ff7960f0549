//! A table in several files, `<name>/part-*.parquet` of an artifact folder, read a batch of rows at a time.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader};

use crate::manifest::{Manifest, ManifestError, Output};
use crate::recipe::digest;
use crate::table::{self, Opened, Row, TableError, malformed};
use crate::{layout, table::soundly};

/// Rows that are in memory at once.
const BATCH: usize = 4096;

/// A table of an artifact: its parts as the manifest lists them. Every byte that is read is compared with what it promises.
pub struct Parts<R> {
    folder: PathBuf,
    stage: String,
    outputs: Vec<Output>,
    row: PhantomData<fn() -> R>,
}

impl<R: Row> Parts<R> {
    /// The table `name` of the finished artifact in `folder`.
    ///
    /// # Errors
    /// The artifact is not finished, or has no such table.
    pub fn open(folder: &Path, name: &str) -> Result<Parts<R>, TableError> {
        let manifest = Manifest::read(folder)?;
        let within = |output: &Output| {
            let file = output.file.strip_prefix(name).and_then(|file| file.strip_prefix('/'));
            file.is_some_and(layout::is_part)
        };
        let outputs: Vec<Output> = manifest.outputs.into_iter().filter(within).collect();
        if outputs.is_empty() {
            let file = format!("{name}/part-*.parquet");
            return Err(ManifestError::NoOutput { folder: folder.to_owned(), file }.into());
        }
        Ok(Parts { folder: folder.to_owned(), stage: manifest.recipe.stage, outputs, row: PhantomData })
    }

    /// Rows of all parts.
    pub fn len(&self) -> usize {
        self.outputs.iter().map(rows_of).sum()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The files, in order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|output| output.file.as_str())
    }

    /// A hash of all that is in the parts.
    pub fn hash(&self) -> String {
        let hashes: Vec<&str> = self.outputs.iter().map(|output| output.hash.as_str()).collect();
        digest(hashes.join("\n").as_bytes())
    }

    /// What the footer of the first part says.
    ///
    /// # Errors
    /// The part is damaged, or of another schema or version.
    pub fn metadata(&self) -> Result<HashMap<String, String>, TableError> {
        Ok(self.open_part(&self.outputs[0])?.1)
    }

    /// All rows, one after the other.
    pub fn rows(&self) -> impl Iterator<Item = Result<R, TableError>> + '_ {
        (0..self.outputs.len()).flat_map(|part| self.rows_of_part(part))
    }

    /// The rows of one part, one after the other.
    pub fn rows_of_part(&self, part: usize) -> impl Iterator<Item = Result<R, TableError>> + '_ {
        let output = &self.outputs[part];
        flatten(self.batches(output, 0..rows_of(output)))
    }

    /// Some rows, counted through all parts; fewer where the table ends.
    ///
    /// # Errors
    /// A part is damaged, or of another schema or version.
    pub fn range(&self, wanted: Range<usize>) -> Result<Vec<R>, TableError> {
        let mut found = Vec::with_capacity(wanted.len());
        let mut first = 0;
        for output in &self.outputs {
            let rows = rows_of(output);
            let within = |row: usize| row.clamp(first, first + rows) - first;
            let part = within(wanted.start)..within(wanted.end);
            first += rows;
            if part.is_empty() {
                continue;
            }
            for row in flatten(self.batches(output, part)) {
                found.push(row?);
            }
        }
        Ok(found)
    }

    /// All rows at once, for tables that are known to be small.
    ///
    /// # Errors
    /// A part is damaged, or of another schema or version.
    pub fn all(&self) -> Result<Vec<R>, TableError> {
        self.rows().collect()
    }

    fn open_part(&self, output: &Output) -> Result<Opened<Bytes>, TableError> {
        let path = self.folder.join(&output.file);
        let bytes = std::fs::read(&path).map_err(|source| TableError::Io { path: path.clone(), source })?;
        if output.hash != digest(&bytes) {
            return Err(ManifestError::Damaged { path, stage: self.stage.clone() }.into());
        }
        table::open(&path, Bytes::from(bytes), R::KIND, ArrowReaderOptions::new())
    }

    fn batches(&self, output: &Output, rows: Range<usize>) -> Batches<R> {
        let path = self.folder.join(&output.file);
        let reader = self.open_part(output).and_then(|(builder, _)| {
            let builder = builder.with_batch_size(BATCH).with_offset(rows.start).with_limit(rows.len());
            let build = || builder.build().map_err(|error| error.to_string());
            soundly(build).map_err(|reason| malformed(&path, R::KIND, reason))
        });
        Batches { path, reader: Some(reader), row: PhantomData }
    }
}

fn rows_of(output: &Output) -> usize {
    output.rows.unwrap_or_default() as usize
}

fn flatten<R>(
    batches: impl Iterator<Item = Result<Vec<R>, TableError>>,
) -> impl Iterator<Item = Result<R, TableError>> {
    batches.flat_map(|batch| {
        let (rows, error) = match batch {
            Ok(rows) => (rows, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        rows.into_iter().map(Ok).chain(error)
    })
}

/// The rows of a part, a batch at a time; after an error there are none.
struct Batches<R> {
    path: PathBuf,
    reader: Option<Result<ParquetRecordBatchReader, TableError>>,
    row: PhantomData<fn() -> R>,
}

impl<R: Row> Iterator for Batches<R> {
    type Item = Result<Vec<R>, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reader = match self.reader.take()? {
            Ok(reader) => reader,
            Err(error) => return Some(Err(error)),
        };
        let read = soundly(|| match reader.next() {
            None => Ok(None),
            Some(batch) => {
                let batch = batch.map_err(|error| error.to_string())?;
                let rows = serde_arrow::from_record_batch(&batch).map_err(|error| error.to_string())?;
                Ok(Some(rows))
            }
        });
        match read {
            Ok(rows) => {
                let rows = rows?;
                self.reader = Some(Ok(reader));
                Some(Ok(rows))
            }
            Err(reason) => Some(Err(malformed(&self.path, R::KIND, reason))),
        }
    }
}
