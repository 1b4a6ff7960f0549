//! Tar archives: an error under 2 kB, or members whose bytes are those of the archive at their place.

#![no_main]

use images::archive::{self, Content};
use store::Folder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = fuzz::file_of("archive", bytes);
    let blob = Folder::local(&folder).blob("archive").expect("it was just written");
    let read = archive::read(&blob, |member| {
        if let Content::File(content) = member.content {
            let from = member.offset as usize;
            assert_eq!(content, bytes[from..from + content.len()]);
        }
    });
    if let Err(error) = read {
        assert!(error.to_string().len() < 2000, "{error}");
    }
});
