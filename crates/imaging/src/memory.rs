//! How much memory a picture takes on its way from bytes to RGB, which its header tells.

use image::{ImageDecoder, ImageFormat};

use crate::error::MAX_PIXELS;
use crate::jpeg;

/// For what stands beside the pixels: EXIF, tables, rows, compressed strips.
pub(crate) const EXTRA: u64 = 8 << 20;
/// What no decoder may exceed, whatever the header says: [`MAX_PIXELS`] of 16-bit RGBA twice.
pub(crate) const MOST: u64 = 2 * 8 * MAX_PIXELS + EXTRA;

/// What a decoder may take beside the samples that it returns: TIFF's holds all of them once more, as CMYK where they
/// are; GIF's holds the first frame.
pub(crate) fn decoder_limit(decoder: &dyn ImageDecoder) -> u64 {
    let total = decoder.total_bytes();
    total + total / 3 + EXTRA
}

/// Bytes at the peak, without the file.
pub(crate) fn needed(format: ImageFormat, bytes: &[u8], decoder: &dyn ImageDecoder, sideways: bool) -> u64 {
    let (width, height) = decoder.dimensions();
    // Decoders work in blocks.
    let pixels = u64::from(width.next_multiple_of(32)) * u64::from(height.next_multiple_of(32));
    let (samples, rgb, file) = (decoder.total_bytes(), 3 * pixels, bytes.len() as u64);
    let decoding = match format {
        // The crate that reads the header copies the file. With several scans all coefficients wait, 16 bits each, of up
        // to four components.
        ImageFormat::Jpeg if jpeg::has_several_scans(bytes) => file + rgb + 8 * pixels,
        ImageFormat::Jpeg => file + rgb,
        ImageFormat::Png => rgb,
        // A copy of the compressed part; the frame, and its alpha, before they are put together.
        ImageFormat::WebP => file + samples + 6 * pixels,
        ImageFormat::Tiff | ImageFormat::Gif => samples + decoder_limit(decoder),
        _ => samples,
    };
    let converting = if samples < rgb { samples + rgb } else { samples };
    let turning = if sideways { samples.max(rgb) + rgb } else { 0 };
    decoding.max(converting).max(turning) + EXTRA
}
