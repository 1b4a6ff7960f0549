//! Photos: what the header tells holds for the pixels, and nothing panics.

#![no_main]

/// Larger ones are only looked at, or most of the time would go into clearing memory.
const MOST: u64 = 64 << 20;
/// Pixels up to which a picture is decoded at its own size.
const FULL_SIZE: u64 = 100_000_000;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(size) = imaging::probe(bytes) else {
        assert!(imaging::decode(bytes).is_err());
        return;
    };
    if imaging::memory_needed(bytes).expect("a header that was read before") <= MOST
        && let Ok(picture) = imaging::decode(bytes)
        && u64::from(size.0) * u64::from(size.1) <= FULL_SIZE
    {
        assert_eq!(picture.dimensions(), size);
    }
});
