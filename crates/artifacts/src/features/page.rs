//! The numbers of one row: a page of their own, read without the rest of their file.
//!
//! Reading a row is reading its page, decompressing it, and taking what follows the level headers: no Arrow array is
//! built. That is what makes a random row as cheap as a sequential one.

use std::sync::Arc;

use half::f16;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page as Content, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;

use super::stored::Opened;
use super::sums;
use crate::table;

const NOT_AS_WRITTEN: &str = "not one plain page per row, as it was written";

/// Where the page of a row lies, and the CRC-32 of its numbers: all that is kept of a row, in 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) offset: u64,
    size: u32,
    sum: u32,
}

/// A column of numbers of one file, and how its pages are read.
#[derive(Clone)]
pub(super) struct Column {
    descriptor: ColumnDescPtr,
    compression: Compression,
    /// Numbers of a row.
    count: usize,
    /// Whether pages know the sum of their numbers.
    checked: bool,
}

impl Column {
    /// The column that is the leaf number `leaf` of the schema and has `count` numbers in each row, with the pages of its
    /// rows. `sums` are theirs, where there are any.
    pub(super) fn find(
        metadata: &ParquetMetaData,
        leaf: usize,
        count: usize,
        sums: Option<impl Iterator<Item = u32>>,
    ) -> Result<(Column, Vec<Page>), String> {
        let descriptor = metadata.file_metadata().schema_descr().column(leaf);
        let first = metadata.row_groups().first().and_then(|group| group.columns().get(leaf));
        let column = Column {
            descriptor,
            compression: first.map_or(Compression::UNCOMPRESSED, ColumnChunkMetaData::compression),
            count,
            checked: sums.is_some(),
        };
        let mut sums = sums.into_iter().flatten();
        let mut pages = Vec::new();
        for (number, group) in metadata.row_groups().iter().enumerate() {
            let index = metadata.offset_index().and_then(|index| index.get(number)?.get(leaf));
            let locations = index.map(|index| index.page_locations().as_slice()).unwrap_or_default();
            if i64::try_from(locations.len()) != Ok(group.num_rows()) {
                return Err(format!("{}: {NOT_AS_WRITTEN}", column.name()));
            }
            for location in locations {
                pages.push(Page {
                    // What lies nowhere is refused when it is read.
                    offset: location.offset.try_into().unwrap_or(u64::MAX),
                    size: location.compressed_page_size.try_into().unwrap_or(u32::MAX),
                    sum: sums.next().unwrap_or_default(),
                });
            }
        }
        Ok((column, pages))
    }

    /// Its name in the schema.
    pub(super) fn name(&self) -> &str {
        &self.descriptor.path().parts()[0]
    }

    /// Whether every page that is read is compared with its sum.
    pub(super) fn is_checked(&self) -> bool {
        self.checked
    }

    /// Appends the numbers of a page to `out`.
    pub(super) fn append(&self, file: Opened, page: Page, out: &mut Vec<f16>) -> Result<(), String> {
        let content = table::soundly(|| self.content(file, page).map_err(|error| error.to_string()))?;
        let before = out.len();
        match content {
            Some(Content::DataPage { buf, num_values, encoding: Encoding::PLAIN, .. })
                if num_values as usize == self.count =>
            {
                append(&buf, self.count, out)
                    .ok_or_else(|| "the page is too short, or has missing values".to_owned())?;
            }
            _ => return Err(NOT_AS_WRITTEN.to_owned()),
        }
        if self.checked && page.sum != sums::of(&out[before..]) {
            out.truncate(before);
            return Err("its numbers do not fit their checksum".to_owned());
        }
        Ok(())
    }

    fn content(&self, file: Opened, page: Page) -> parquet::errors::Result<Option<Content>> {
        let location = PageLocation {
            offset: page.offset.try_into()?,
            compressed_page_size: page.size.try_into()?,
            first_row_index: 0,
        };
        // The chunk begins with the page: what lies between the two is taken for a dictionary.
        let chunk = ColumnChunkMetaData::builder(self.descriptor.clone())
            .set_compression(self.compression)
            .set_data_page_offset(location.offset)
            .build()?;
        SerializedPageReader::new(Arc::new(file), &chunk, 1, Some(vec![location]))?.get_next_page()
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
