//! Whether a file is whole, where the decoder would not say: of a JPEG cut short it fills the rest with gray, and of a
//! WebP it loses the orientation, which stands at the end. Either is worse than an error here.

use image::ImageFormat;

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

/// True for the bytes of a JPEG or WebP that end before the image does; the other decoders find out themselves.
pub(crate) fn is_cut_short(format: ImageFormat, bytes: &[u8]) -> bool {
    match format {
        ImageFormat::Jpeg => !has_end(bytes.get(2..).unwrap_or_default()),
        ImageFormat::WebP => !fills_its_container(bytes),
        _ => false,
    }
}

/// Whether a RIFF file is as long as its header says.
fn fills_its_container(bytes: &[u8]) -> bool {
    match *bytes {
        [_, _, _, _, a, b, c, d, ref rest @ ..] => {
            rest.len() as u64 >= u32::from_le_bytes([a, b, c, d]).into()
        }
        _ => false,
    }
}

/// Whether a JPEG has an end-of-image marker behind its first one (ITU T.81, annex B).
///
/// Walks from marker to marker, because the same bytes may lie inside a segment: a thumbnail has an end of its own.
fn has_end(mut bytes: &[u8]) -> bool {
    loop {
        match *bytes {
            [0xff, END_OF_IMAGE, ..] => return true,
            // Padding and markers without a segment: 01, restarts, a second start.
            [0xff, 0xff, ..] => bytes = &bytes[1..],
            [0xff, 0x01 | 0xd0..=0xd8, ..] => bytes = &bytes[2..],
            [0xff, marker, high, low, ..] => {
                let length = 2 + usize::from(u16::from_be_bytes([high, low]));
                bytes = bytes.get(length..).unwrap_or_default();
                if marker == START_OF_SCAN {
                    bytes = after_scan(bytes);
                }
            }
            // Stray bytes between segments are skipped, as decoders do.
            [_, _, ..] => bytes = &bytes[1..],
            _ => return false,
        }
    }
}

/// What follows entropy-coded data, in which only a stuffed zero or a restart may come after `ff`.
fn after_scan(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7));
    end.map_or(&[], |end| &bytes[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: [u8; 2] = [0xff, 0xd8];
    const APP: [u8; 6] = [0xff, 0xe1, 0x00, 0x04, 0xff, 0xd9];
    const SCAN: [u8; 10] = [0xff, 0xda, 0x00, 0x03, 0x00, 0x12, 0xff, 0x00, 0xff, 0xd3];
    const END: [u8; 2] = [0xff, 0xd9];

    #[test]
    fn only_an_end_marker_between_segments_ends_an_image() {
        let whole = [&START[..], &APP, &SCAN, &APP, &SCAN, &END].concat();
        assert!(!is_cut_short(ImageFormat::Jpeg, &whole));
        for length in 2..whole.len() {
            assert!(is_cut_short(ImageFormat::Jpeg, &whole[..length]), "{length} of {} bytes", whole.len());
        }
    }

    #[test]
    fn padding_and_what_lies_behind_the_end_do_not_matter() {
        let padded = [&START[..], &[0xff], &APP, &[0x00], &SCAN, &END, b"motion photo"].concat();
        assert!(!is_cut_short(ImageFormat::Jpeg, &padded));
    }

    #[test]
    fn a_webp_is_as_long_as_its_header_says() {
        let whole = b"RIFF\x06\0\0\0WEBP\0\0";
        assert!(!is_cut_short(ImageFormat::WebP, whole));
        assert!((0..whole.len()).all(|length| is_cut_short(ImageFormat::WebP, &whole[..length])));
    }
}
