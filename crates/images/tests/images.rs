//! The bytes that come out are those that went in, and of bytes that nobody meant comes an error.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong here fails a test")]

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field};
use artifacts::{Locator, Within};
use images::archive::{self, Content};
use images::{ImageSource, SourceError};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use proptest::prelude::*;
use store::Folder;

const FILE: &str = "rows.parquet";

/// How a table is cut up.
#[derive(Clone, Debug)]
struct Cut {
    group_rows: usize,
    page_rows: usize,
    page_bytes: usize,
    index: bool,
    packed: bool,
    dictionary: bool,
    /// Hugging Face's struct, or the bytes alone.
    is_struct: bool,
}

fn write(folder: &Path, images: &[Option<Vec<u8>>], cut: &Cut) {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter(images.iter().map(|image| image.as_deref())));
    let column: ArrayRef = if cut.is_struct {
        let paths: ArrayRef = Arc::new(StringArray::from_iter(images.iter().map(|_| Some("x.jpg"))));
        let field = |name: &str, kind| Arc::new(Field::new(name, kind, true));
        let (binary, text) = (field("bytes", DataType::Binary), field("path", DataType::Utf8));
        Arc::new(StructArray::from(vec![(binary, bytes), (text, paths)]))
    } else {
        bytes
    };
    let batch = RecordBatch::try_from_iter([("image", column)]).unwrap();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(cut.group_rows))
        .set_data_page_row_count_limit(cut.page_rows)
        .set_data_page_size_limit(cut.page_bytes)
        .set_write_batch_size(1)
        .set_offset_index_disabled(!cut.index)
        .set_statistics_enabled(if cut.index { EnabledStatistics::Page } else { EnabledStatistics::Chunk })
        .set_dictionary_enabled(cut.dictionary)
        .set_compression(if cut.packed { zstd } else { Compression::UNCOMPRESSED })
        .build();
    let file = std::fs::File::create(folder.join(FILE)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn row(number: u64) -> Locator {
    Locator { path: FILE.to_owned(), within: Within::Row(number) }
}

fn cuts() -> impl Strategy<Value = Cut> {
    let sizes = (1..60_usize, 1..20_usize, 1..4000_usize);
    let cut =
        |((group_rows, page_rows, page_bytes), [index, packed, dictionary, is_struct]): (_, [bool; 4])| Cut {
            group_rows,
            page_rows,
            page_bytes,
            index,
            packed,
            dictionary,
            is_struct,
        };
    (sizes, any::<[bool; 4]>()).prop_map(cut)
}

/// Some are equal, some null, some empty, and some larger than a page.
fn pictures() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
    let of = |(byte, length)| Some(vec![byte; length]);
    let picture = prop_oneof![
        1 => Just(None),
        4 => (any::<u8>(), 0..300_usize).prop_map(of),
        1 => (any::<u8>(), 0..200_000_usize).prop_map(of),
    ];
    proptest::collection::vec(picture, 1..120)
}

/// Places, as shares of the length, with what is done there: a byte that becomes another, or the end of the file.
fn flips() -> impl Strategy<Value = Vec<(f64, u8, bool)>> {
    proptest::collection::vec((0.0..1.0, any::<u8>(), prop::bool::weighted(0.1)), 0..8)
}

fn damage(bytes: &mut Vec<u8>, flips: &[(f64, u8, bool)]) {
    for (place, byte, cut) in flips {
        // Half of them near the end, where a table's description is.
        let place = if byte % 2 == 0 { *place } else { 1.0 - place / 20.0 };
        let at = (bytes.len() as f64 * place) as usize;
        match bytes.get_mut(at) {
            Some(_) if *cut => bytes.truncate(at),
            Some(old) => *old = *byte,
            None => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_gives_its_own_bytes_in_any_order_on_any_thread(
        images in pictures(), cut in cuts(), order in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &images, &cut);
        let source = ImageSource::of(Folder::local(folder.path()));
        let read = |thread: u32| {
            for at in 0..images.len() as u64 {
                // A prime, which visits all.
                let at = (at * 7919 + order.rotate_left(thread * 16) % 1000) % images.len() as u64;
                match (source.bytes(&row(at)), &images[at as usize]) {
                    (Ok(found), Some(image)) => assert_eq!(&found, image, "row {at}"),
                    (Err(SourceError::Null), None) => {}
                    (found, _) => panic!("row {at}: {found:?}"),
                }
            }
        };
        std::thread::scope(|threads| {
            for thread in 0..3 {
                let read = &read;
                threads.spawn(move || read(thread));
            }
        });
        let beyond = source.bytes(&row(images.len() as u64)).unwrap_err();
        prop_assert!(matches!(beyond, SourceError::NoRow { .. }), "{}", beyond);
    }

    #[test]
    fn a_damaged_table_gives_bytes_or_an_error(images in pictures(), cut in cuts(), flips in flips()) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &images[..images.len().min(12)], &cut);
        let path = folder.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes, &flips);
        std::fs::write(&path, &bytes).unwrap();
        let source = ImageSource::of(Folder::local(folder.path()));
        for number in 0..13 {
            if let Err(error) = source.bytes(&row(number)) {
                prop_assert!(error.to_string().len() < 2000, "{}", error);
            }
        }
    }

    #[test]
    fn a_damaged_archive_gives_whole_members_or_an_error(
        members in proptest::collection::vec((1..200_usize, 0..2000_usize), 0..6), flips in flips(),
    ) {
        let mut builder = tar::Builder::new(Vec::new());
        for (number, (name, length)) in members.iter().enumerate() {
            let mut header = tar::Header::new_gnu();
            header.set_size(*length as u64);
            let (name, bytes) = (format!("{number}{}.jpg", "n".repeat(*name)), vec![number as u8; *length]);
            builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        let mut bytes = builder.into_inner().unwrap();
        damage(&mut bytes, &flips);
        // The sums of headers are right again, so that what stands in them is believed.
        for header in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
            let sum: u32 = header[..148].iter().chain(&header[156..]).map(|&byte| u32::from(byte)).sum();
            header[148..156].copy_from_slice(format!("{:06o}\0 ", sum + 8 * 32).as_bytes());
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.tar"), &bytes).unwrap();
        let blob = Folder::local(folder.path()).blob("a.tar").unwrap();
        let read = archive::read(&blob, |member| {
            if let Content::File(content) = member.content {
                let from = member.offset as usize;
                assert_eq!(content, bytes[from..from + content.len()]);
            }
        });
        if let Err(error) = read {
            prop_assert!(error.to_string().len() < 2000, "{}", error);
        }
    }
}
