//! Tables of captions: an error under 2 kB, or rows whose places lie in the file.

#![no_main]

use std::path::Path;

use annotations::{Place, table, text};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = Path::new("input");
    let text = match text::decode(file, bytes.to_vec()) {
        Ok(text) => text,
        Err(error) => return assert!(error.to_string().len() < 2000),
    };
    let lines = text.bytes().filter(|&byte| byte == b'\n').count() as u64 + 1;
    match table::parse(file, &text) {
        Err(error) => assert!(error.to_string().len() < 2000, "{error}"),
        Ok(table) => {
            let places = table.rows.iter().map(|row| &row.at).chain(table.odd.iter().map(|(at, _)| at));
            for place in places {
                assert!(!matches!(place.place, Place::Line(line) if line == 0 || line > lines), "{place}");
            }
            assert!(table.odd.iter().all(|(_, reason)| reason.len() < 2000));
        }
    }
});
