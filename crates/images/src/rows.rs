//! Images in the rows of a Parquet file, read some rows at a time whatever the size of its row groups.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use artifacts::table::soundly;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::PageIndexPolicy;
use store::Blob;

use crate::SourceError;
use crate::columns::{self, ImageColumn};

/// Bytes of images that are read together.
const WINDOW_BYTES: u64 = 4 << 20;
/// Images that are read together.
const WINDOW_ROWS: u64 = 32;
/// Windows that are kept: those that threads read from, and the ones beside them.
const WINDOWS: usize = 8;

/// The images of one file.
pub(crate) struct ImageRows {
    blob: Blob,
    metadata: ArrowReaderMetadata,
    column: ImageColumn,
    mask: ProjectionMask,
    /// Row groups' first rows, then the number of rows.
    starts: Vec<u64>,
    /// The last used stands last.
    windows: Mutex<VecDeque<(Window, Images)>>,
}

/// Some neighbouring rows of a row group.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Window {
    group: usize,
    first: u64,
    rows: u64,
}

/// The images of a window, or why they cannot be read, when they have been.
type Images = Arc<OnceLock<Result<Vec<Option<Bytes>>, String>>>;

impl ImageRows {
    pub(crate) fn open(blob: Blob) -> Result<ImageRows, SourceError> {
        let at = blob.at().to_owned();
        let metadata = columns::open(&blob, PageIndexPolicy::Optional)?;
        let schema = metadata.parquet_schema();
        let found = ImageColumn::find(metadata.schema()).and_then(|column| {
            let leaf = column.leaf(schema).ok_or("its images are paths")?;
            Ok((column, ProjectionMask::leaves(schema, [leaf])))
        });
        let (column, mask) = found.map_err(|reason| SourceError::NoColumn { at, reason })?;
        let mut starts = vec![0];
        for group in metadata.metadata().row_groups() {
            starts.push(starts[starts.len() - 1] + group.num_rows().max(0) as u64);
        }
        Ok(ImageRows { blob, metadata, column, mask, starts, windows: Mutex::default() })
    }

    pub(crate) fn bytes(&self, row: u64) -> Result<Bytes, SourceError> {
        let window = self.window(row)?;
        let images = self.images(window);
        let read = images.get_or_init(|| soundly(|| self.read(window)));
        let failed =
            |reason: &String| SourceError::Parquet { at: self.blob.at().to_owned(), reason: reason.clone() };
        let images = read.as_ref().map_err(failed)?;
        let number = row - self.starts[window.group] - window.first;
        images.get(number as usize).cloned().flatten().ok_or(SourceError::Null)
    }

    fn window(&self, row: u64) -> Result<Window, SourceError> {
        let group = self.starts.partition_point(|&start| start <= row).saturating_sub(1);
        let rows = self.starts[self.starts.len() - 1];
        if row >= rows {
            return Err(SourceError::NoRow { at: self.blob.at().to_owned(), rows, row });
        }
        let in_group = self.starts[group + 1] - self.starts[group];
        let bytes = self.metadata.metadata().row_group(group).total_byte_size().max(0) as u64;
        let most = (WINDOW_BYTES / (bytes / in_group).max(1)).clamp(1, WINDOW_ROWS);
        let first = (row - self.starts[group]) / most * most;
        Ok(Window { group, first, rows: most.min(in_group - first) })
    }

    fn images(&self, window: Window) -> Images {
        let mut kept = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(other, _)| *other == window);
        let entry = place.and_then(|place| kept.remove(place)).unwrap_or_else(|| (window, Images::default()));
        let images = entry.1.clone();
        kept.push_back(entry);
        if kept.len() > WINDOWS {
            kept.pop_front();
        }
        images
    }

    fn read(&self, window: Window) -> Result<Vec<Option<Bytes>>, String> {
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.blob.clone(), self.metadata.clone());
        let reader = builder
            .with_projection(self.mask.clone())
            .with_row_groups(vec![window.group])
            .with_offset(window.first as usize)
            .with_limit(window.rows as usize)
            .with_batch_size(window.rows as usize)
            .build()
            .map_err(|error| error.to_string())?;
        let mut images = Vec::with_capacity(window.rows as usize);
        for batch in reader {
            let batch = batch.map_err(|error| error.to_string())?;
            let values = self.column.values(&batch).ok_or("the column of images has another form")?;
            images.extend((0..batch.num_rows()).map(|row| values.bytes(row).map(Bytes::copy_from_slice)));
        }
        Ok(images)
    }
}
