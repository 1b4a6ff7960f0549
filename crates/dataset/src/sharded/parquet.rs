//! Shards that are Parquet files with the images inside: a row is an image with its captions, or with one of them.
//!
//! The images are a column of `struct<bytes, path>`, as Hugging Face's datasets have them, or of bytes; captions stand in a column
//! of text, of lists, or in several side by side, found by their names. Rows of equal bytes that repeat an image give it more captions. A
//! column `split` says where an image belongs. Row groups are never read as a whole: some have a gigabyte.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::file::metadata::PageIndexPolicy;
use annotations::{Captions, table::caption_columns};
use anyhow::Context as _;
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use artifacts::table::soundly;
use artifacts::{Locator, Within};
use images::columns::{self, ImageColumn};
use images::{ImageSource, SourceError};
use store::Blob;

use super::gather::{Gathered, Sample};
use super::shards::Shard;
use crate::layout::split_name;

/// Bytes of images that are in memory at once, and rows of a table without any.
const BATCH_BYTES: u64 = 8 << 20;
const BATCH_ROWS: usize = 1024;
/// The column in which img2dataset says what became of a row.
const STATUS: &str = "status";
const SPLIT: &str = "split";

pub(super) fn read(
    source: &ImageSource,
    shard: &Shard,
    gathered: &mut Gathered,
    advance: &mut dyn FnMut(u64),
) -> anyhow::Result<()> {
    let blob = source.folder().blob(&shard.name)?;
    let at = blob.at().to_owned();
    let metadata = columns::open(&blob, PageIndexPolicy::Skip)?;
    let columns = Columns::find(&at, metadata.schema(), gathered.caption_column())?;
    let mut first = 0;
    let (size, all) = (shard.size, metadata.metadata().file_metadata().num_rows().max(1) as u64);
    for batch in batches(blob, metadata, &columns)? {
        let batch = batch.map_err(|reason| SourceError::Parquet { at: at.clone(), reason })?;
        columns.take(&batch, first, source, shard, gathered).with_context(|| at.clone())?;
        first += batch.num_rows() as u64;
        advance(size * first / all);
    }
    Ok(())
}

/// The columns that are read.
struct Columns {
    image: ImageColumn,
    captions: Vec<String>,
    has_split: bool,
    has_status: bool,
}

impl Columns {
    fn find(at: &str, schema: &Schema, wanted: &str) -> anyhow::Result<Columns> {
        let image = ImageColumn::find(schema)
            .map_err(|reason| SourceError::NoColumn { at: at.to_owned(), reason })?;
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let has = |name: &str| names.contains(&name);
        let captions = if wanted.is_empty() {
            let found = caption_columns(&names).map_err(|reason| {
                anyhow::anyhow!("{at} has no column of captions that is known: {reason}, or name it by dataset.caption_column")
            })?;
            found.into_iter().map(|column| names[column].to_owned()).collect()
        } else if has(wanted) {
            vec![wanted.to_owned()]
        } else {
            anyhow::bail!(
                "{at} has no column dataset.caption_column = {wanted:?}; its columns are {}",
                names.join(", ")
            );
        };
        let split = schema.field_with_name(SPLIT).ok();
        // A column of `Null` misses all its values.
        if let Some(other) =
            split.filter(|field| !matches!(field.data_type(), DataType::Utf8 | DataType::Null))
        {
            anyhow::bail!(
                "{at}: its column `split` is {}, not text; write train, val or test in each row, or leave the column out",
                other.data_type()
            );
        }
        Ok(Columns { image, captions, has_split: split.is_some(), has_status: has(STATUS) })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let more = [(self.has_split, SPLIT), (self.has_status, STATUS)];
        let more = more.into_iter().filter(|(has, _)| *has).map(|(_, name)| name);
        let image = self.image.names.iter().take(1).map(String::as_str);
        image.chain(self.captions.iter().map(String::as_str)).chain(more)
    }

    /// The samples of a batch that begins with row `first`.
    fn take(
        &self,
        batch: &RecordBatch,
        first: u64,
        source: &ImageSource,
        shard: &Shard,
        gathered: &mut Gathered,
    ) -> anyhow::Result<()> {
        let images = self.image.values(batch).context("the column of images has another form")?;
        let text = |name: &str, has: bool| batch.column_by_name(name).filter(|_| has).and_then(columns::text);
        let (splits, statuses) = (text(SPLIT, self.has_split), text(STATUS, self.has_status));
        let captions = self.captions(batch)?;
        for (row, captions) in captions.into_iter().enumerate() {
            let number = first + row as u64;
            let place = format!("{number:06}");
            let path = images.path(row).filter(|path| !path.is_empty());
            let split = match splits.and_then(|splits| columns::text_of(splits, row)) {
                Some(name) => match split_name::of(name) {
                    Some(split) => Some(split),
                    None => {
                        gathered.skip_image(&place, "its split is none of train, val and test");
                        continue;
                    }
                },
                None => None,
            };
            let (locator, bytes) = match (images.bytes(row), path) {
                (Some(bytes), _) => {
                    let within = Within::Row(number);
                    (Locator { path: shard.name.clone(), within }, bytes.to_vec())
                }
                (None, Some(path)) => {
                    let found = beside(&shard.name, path)
                        .map(Locator::file)
                        .and_then(|locator| Some((source.bytes(&locator).ok()?.to_vec(), locator)));
                    let Some((bytes, locator)) = found else {
                        let reason = "its row holds no bytes, and its path no file beside the Parquet file";
                        gathered.skip_image(&place, reason);
                        continue;
                    };
                    (locator, bytes)
                }
                (None, None) => {
                    match statuses.and_then(|statuses| columns::text_of(statuses, row)) {
                        Some(status) => gathered.unfetched(status, 1),
                        None => gathered.skip_image(&place, "its row holds no bytes"),
                    }
                    continue;
                }
            };
            let id = path.map(|path| stem(path).to_owned());
            gathered.add(Sample { id, place, locator, bytes, captions, split });
        }
        Ok(())
    }

    /// The captions of each row, whatever form their columns have.
    fn captions(&self, batch: &RecordBatch) -> anyhow::Result<Vec<Vec<String>>> {
        let schema = batch.schema();
        let fields = schema.fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| self.captions.contains(field.name()));
        let wanted: Vec<usize> = wanted.map(|(number, _)| number).collect();
        let batch = batch.project(&wanted)?;
        let rows: Vec<BTreeMap<String, Option<Captions>>> =
            serde_arrow::from_record_batch(&batch).context("its captions are no text")?;
        let of_row = |mut row: BTreeMap<String, Option<Captions>>| {
            let columns = self.captions.iter().filter_map(|name| row.remove(name).flatten());
            columns.flat_map(|Captions(sentences)| sentences).collect()
        };
        Ok(rows.into_iter().map(of_row).collect())
    }
}

/// A file that a row names, seen from the folder of its Parquet file; none where it leads out of it, as paths of the machine that
/// wrote the table do.
fn beside(shard: &str, path: &str) -> Option<String> {
    let stays =
        Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let name = || match shard.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{path}"),
        None => path.to_owned(),
    };
    stays.then(name)
}

/// A file's name without its folders and its ending.
fn stem(path: &str) -> &str {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// The rows, some at a time.
fn batches(
    blob: Blob,
    metadata: ArrowReaderMetadata,
    columns: &Columns,
) -> Result<impl Iterator<Item = Result<RecordBatch, String>>, SourceError> {
    let rows = metadata.metadata().file_metadata().num_rows().max(1) as u64;
    let bytes: u64 =
        metadata.metadata().row_groups().iter().map(|group| group.total_byte_size().max(0) as u64).sum();
    let at_once = (BATCH_BYTES / (bytes / rows).max(1)).clamp(1, BATCH_ROWS as u64) as usize;
    let at = blob.at().to_owned();
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(blob, metadata);
    // Names of columns may hold dots, so they are looked up rather than written as paths.
    let wanted: Vec<&str> = columns.names().collect();
    let fields = builder.schema().fields().iter().enumerate();
    let roots: Vec<usize> =
        fields.filter(|(_, field)| wanted.contains(&field.name().as_str())).map(|(root, _)| root).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let build =
        || builder.with_projection(mask).with_batch_size(at_once).build().map_err(|error| error.to_string());
    let mut reader = Some(soundly(build).map_err(|reason| SourceError::Parquet { at, reason })?);
    Ok(std::iter::from_fn(move || {
        let next = |reader: &mut ParquetRecordBatchReader| {
            soundly(|| reader.next().transpose().map_err(|error| error.to_string()))
        };
        match next(reader.as_mut()?) {
            Ok(batch) => batch.map(Ok),
            // After a fault nothing that follows can be trusted.
            Err(reason) => {
                reader = None;
                Some(Err(reason))
            }
        }
    }))
}

/// How often each status occurs in a table of img2dataset; nothing of a table that has none.
pub(super) fn statuses(blob: Blob) -> Result<BTreeMap<String, u64>, SourceError> {
    let at = blob.at().to_owned();
    let malformed = |reason: String| SourceError::Parquet { at: at.clone(), reason };
    let metadata = columns::open(&blob, PageIndexPolicy::Skip)?;
    let mut counts = BTreeMap::new();
    if metadata.schema().field_with_name(STATUS).is_err() {
        return Ok(counts);
    }
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(blob, metadata);
    let mask = ProjectionMask::columns(builder.parquet_schema(), [STATUS]);
    let build = || {
        builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(|error| error.to_string())
    };
    let mut reader = soundly(build).map_err(malformed)?;
    while let Some(batch) =
        soundly(|| reader.next().transpose().map_err(|error| error.to_string())).map_err(malformed)?
    {
        let column = batch.column_by_name(STATUS).and_then(columns::text);
        let column = column.ok_or_else(|| malformed("its column `status` is no text".to_owned()))?;
        for row in 0..batch.num_rows() {
            let status = columns::text_of(column, row).unwrap_or("no status");
            *counts.entry(status.to_owned()).or_default() += 1;
        }
    }
    Ok(counts)
}
