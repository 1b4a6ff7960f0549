//! Sidecars: an error under 2 kB, or a caption that reads as written, and that a second time changes nothing.

#![no_main]

use xmp::{Contents, Said, Source, merged};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let source = Source { photo: "blake3:1".to_owned(), model: "blake3:2".to_owned(), settings: "{}".to_owned() };
    let said = Said { caption: "a dog".to_owned(), keywords: vec!["dog".to_owned()], source };
    let old = match Contents::read(bytes) {
        Ok(old) => old,
        Err(error) => return assert!(error.to_string().len() < 2000, "{error}"),
    };
    for overwrite in [false, true] {
        let Ok(new) = merged(Some(bytes), &said, overwrite) else { continue };
        let read = Contents::read(&new).expect("what was written is a sidecar");
        if overwrite {
            assert_eq!((read.description.as_deref(), read.alt_text.as_deref()), (Some("a dog"), Some("a dog")));
        } else if !old.has_room(true) {
            assert_eq!(new, bytes);
        }
        assert_eq!(merged(Some(&new), &said, overwrite).expect("a second time"), new);
    }
});
