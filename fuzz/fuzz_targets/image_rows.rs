//! Images in Parquet files: an error under 2 kB, or the bytes of a row.

#![no_main]

use artifacts::{Locator, Within};
use images::ImageSource;
use store::Folder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = fuzz::file_of("rows", bytes);
    let source = ImageSource::of(Folder::local(&folder));
    for row in 0..4 {
        let locator = Locator { path: "rows".to_owned(), within: Within::Row(row) };
        if let Err(error) = source.bytes(&locator) {
            assert!(error.to_string().len() < 2000, "{error}");
        }
    }
});
