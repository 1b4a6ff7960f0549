//! Whether a file is whole, where the decoder would not say: of a JPEG cut short it fills the rest with gray, and of a
//! WebP it loses the orientation, which stands at the end. Either is worse than an error here.

use image::ImageFormat;

use crate::jpeg;

/// True for the bytes of a JPEG or WebP that end before the image does; the other decoders find out themselves.
pub(crate) fn is_cut_short(format: ImageFormat, bytes: &[u8]) -> bool {
    match format {
        ImageFormat::Jpeg => !jpeg::has_end(bytes),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webp_is_as_long_as_its_header_says() {
        let whole = b"RIFF\x06\0\0\0WEBP\0\0";
        assert!(!is_cut_short(ImageFormat::WebP, whole));
        assert!((0..whole.len()).all(|length| is_cut_short(ImageFormat::WebP, &whole[..length])));
    }
}
