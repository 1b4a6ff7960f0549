//! The pickle inside a zip archive of torch.save. The archive is sound: its checksums would stop almost every mutation.

#![no_main]

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Storages to point at: their keys and sizes in bytes are those of the seeds.
const STORAGES: [(&str, usize); 8] =
    [("0", 24), ("1", 96), ("2", 80), ("3", 8), ("4", 4), ("5", 4), ("6", 8), ("7", 0)];

libfuzzer_sys::fuzz_target!(|pickle: &[u8]| {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, content: &[u8]| {
        archive.start_file(format!("a/{name}"), stored).and_then(|()| Ok(archive.write_all(content)?))
    };
    add("data.pkl", pickle).expect("writing to memory");
    for (key, length) in STORAGES {
        add(&format!("data/{key}"), &vec![1; length]).expect("writing to memory");
    }
    fuzz::read_weights(archive.finish().expect("writing to memory").get_ref());
});
