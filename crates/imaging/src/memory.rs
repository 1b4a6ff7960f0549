//! How much memory a picture takes on its way from bytes to RGB, which its header tells.

use image::{ImageDecoder, ImageFormat};

use crate::jpeg::Jpeg;

/// For what stands beside the pixels: metadata, tables, rows, compressed strips.
pub(crate) const EXTRA: u64 = 8 << 20;

/// What a decoder may take beside the samples that it returns: TIFF's holds all of them once more, as CMYK where they
/// are; GIF's holds the first frame.
pub(crate) fn decoder_limit(decoder: &dyn ImageDecoder) -> u64 {
    let total = decoder.total_bytes();
    total + total / 3 + EXTRA
}

/// Bytes at the peak, without the file of so many bytes.
pub(crate) fn needed(format: ImageFormat, file: u64, decoder: &dyn ImageDecoder, sideways: bool) -> u64 {
    let pixels = in_blocks(decoder.dimensions());
    let (samples, rgb) = (decoder.total_bytes(), 3 * pixels);
    let decoding = match format {
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

/// The same of a JPEG, at the size at which it is decoded.
pub(crate) fn of_jpeg(jpeg: &Jpeg, sideways: bool) -> u64 {
    let pixels = in_blocks(jpeg.decoded_size());
    let (samples, rgb) = (jpeg.bytes_per_pixel() * pixels, 3 * pixels);
    let turning = if sideways { samples + rgb } else { 0 };
    (samples + jpeg.coefficients()).max(turning) + EXTRA
}

/// Decoders work in blocks.
fn in_blocks((width, height): (u32, u32)) -> u64 {
    u64::from(width.next_multiple_of(32)) * u64::from(height.next_multiple_of(32))
}
