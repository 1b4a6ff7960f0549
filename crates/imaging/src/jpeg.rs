//! Whether a JPEG is whole. The decoder fills what is missing with gray, which is worse than an error here.

/// True for JPEG bytes without an end-of-image marker behind the first scan (ITU T.81, annex B).
pub(crate) fn is_cut_short(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8]) && !has_end(bytes)
}

fn has_end(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    // Segments before the scan have lengths; a thumbnail with an end marker of its own may lie inside one.
    while let Some(&[0xff, marker, high, low]) = bytes.get(at..at + 4) {
        match marker {
            0xff => at += 1, // padding
            START_OF_SCAN => return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    false
}
