//! Bytes of a file → 8-bit RGB as a person would see it.

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, Limits, RgbImage};

use crate::caught::caught;
use crate::error::ImageError;
#[cfg(doc)]
use crate::error::{MAX_MEMORY, MAX_SIDE};
use crate::jpeg::Stored;
use crate::open::{Opened, Source, open};
use crate::{memory, orientation, rgb};

/// Width and height of an image as shown (after its orientation), read from its header only.
///
/// # Errors
///
/// Bytes that are no image of a known format, a header cut short, or more pixels than [`MAX_MEMORY`] or [`MAX_SIDE`]
/// allow.
pub fn probe(bytes: &[u8]) -> Result<(u32, u32), ImageError> {
    let image = open(bytes)?;
    let (width, height) = image.source.size();
    Ok(if orientation::is_sideways(image.orientation) { (height, width) } else { (width, height) })
}

/// Most memory in bytes that [`decode`] takes, beside the file itself: what decoder and conversions hold at a time. The
/// picture that it returns is a part of that. Read from the header only.
///
/// # Errors
///
/// Those of [`probe`].
pub fn memory_needed(bytes: &[u8]) -> Result<u64, ImageError> {
    Ok(open(bytes)?.needed)
}

/// Decodes an image: the first frame, turned as EXIF or else XMP says, alpha over white, gray and CMYK as RGB, colour profiles
/// ignored. The content decides the format, not a name. A JPEG of more than 100 megapixels comes at a half, a quarter or an
/// eighth of the size that [`probe`] tells.
///
/// 16 bits are scaled to 8 and rounded: at most 1 level from Pillow's colour images, of which it keeps the upper byte;
/// in gray ones Pillow clips what is above 255, so most of the picture turns white there.
///
/// # Errors
///
/// Those of [`probe`], and an image that is cut short, damaged, of a variant that is not read, or that takes too much
/// memory.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let Opened { source, orientation, .. } = open(bytes)?;
    let pixels = caught(|| match source {
        Source::Jpeg(jpeg) => jpeg.pixels(Stored::AsTold),
        Source::Other(format, decoder) => pixels(format, decoder),
    })?;
    if orientation == Orientation::NoTransforms {
        return Ok(pixels);
    }
    let mut turned = DynamicImage::ImageRgb8(pixels);
    turned.apply_orientation(orientation);
    Ok(turned.into_rgb8())
}

fn pixels(format: ImageFormat, mut decoder: Box<dyn ImageDecoder + '_>) -> Result<RgbImage, ImageError> {
    let color = decoder.color_type();
    if matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(ImageError::Unsupported("floating-point pixels have no agreed white".into()));
    }
    let (width, height) = decoder.dimensions();
    let mut limits = Limits::default();
    limits.max_alloc = Some(memory::decoder_limit(decoder.as_ref()));
    decoder.set_limits(limits)?;
    let total = decoder.total_bytes() as usize;
    let mut samples = Vec::new();
    samples.try_reserve_exact(total).map_err(|_| ImageError::TooMuchMemory)?;
    samples.resize(total, 0);
    decoder.read_image_boxed(&mut samples)?;
    if (format, color) == (ImageFormat::Bmp, ColorType::Rgba8) {
        opaque_if_all_clear(&mut samples);
    }
    let pixels = rgb::convert(color, width as usize, samples);
    let wrong = || ImageError::Damaged("the pixels do not fill the picture".to_owned());
    RgbImage::from_raw(width, height, pixels).ok_or_else(wrong)
}

/// Many programs write bitmaps that have room for alpha, and leave it empty: nobody means a picture that cannot be seen.
fn opaque_if_all_clear(rgba: &mut [u8]) {
    let pixels = rgba.as_chunks_mut::<4>().0;
    if pixels.iter().all(|[.., alpha]| *alpha == 0) {
        pixels.iter_mut().for_each(|[.., alpha]| *alpha = 255);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{Rgb, Rgba};
    use proptest::prelude::*;

    use super::*;
    use crate::error::MAX_SIDE;

    fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    fn picture() -> DynamicImage {
        RgbImage::from_fn(40, 30, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, 90])).into()
    }

    const FORMATS: [ImageFormat; 6] = [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Gif,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
    ];

    #[test]
    fn every_format_is_read_by_its_content() {
        for format in FORMATS {
            let bytes = encode(&picture(), format);
            assert_eq!(probe(&bytes).unwrap(), (40, 30), "{format:?}");
            assert_eq!(decode(&bytes).unwrap().dimensions(), (40, 30), "{format:?}");
        }
    }

    #[test]
    fn alpha_lies_over_white() {
        let transparent = image::RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 0]));
        let half = image::RgbaImage::from_pixel(2, 2, Rgba([0, 0, 0, 128]));
        let shown = |image: image::RgbaImage| {
            *decode(&encode(&image.into(), ImageFormat::Png)).unwrap().get_pixel(0, 0)
        };
        assert_eq!(shown(transparent), Rgb([255; 3]));
        assert_eq!(shown(half), Rgb([127; 3]));
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let deep = image::ImageBuffer::from_pixel(2, 2, Rgb([65_535u16, 32_768, 0]));
        let bytes = encode(&DynamicImage::ImageRgb16(deep), ImageFormat::Png);
        assert_eq!(*decode(&bytes).unwrap().get_pixel(1, 1), Rgb([255, 128, 0]));
    }

    #[test]
    fn what_is_no_image_says_so() {
        assert!(matches!(decode(b""), Err(ImageError::Empty)));
        let error = decode(b"Dear diary, today I saw a dog.").unwrap_err().to_string();
        assert!(error.contains("text that begins with \"Dear diary"), "{error}");
        assert!(matches!(decode(&[0; 64]), Err(ImageError::UnknownFormat(_))));
        let avif = decode(b"\0\0\0\x1cftypavif\0\0\0\0").unwrap_err();
        assert!(matches!(avif, ImageError::Unsupported(_)) && avif.to_string().contains("AVIF"), "{avif}");
    }

    #[test]
    fn floating_point_pixels_are_refused() {
        let image = DynamicImage::ImageRgb32F(image::ImageBuffer::from_pixel(3, 2, Rgb([0.5; 3])));
        let error = decode(&encode(&image, ImageFormat::Tiff)).unwrap_err();
        assert!(matches!(error, ImageError::Unsupported(_)), "{error}");
    }

    #[test]
    fn an_image_too_large_is_refused_from_its_header() {
        for (bit_depth, color) in [(1, 0), (8, 2), (16, 6)] {
            let error = decode(&png_header(40_000, 40_000, bit_depth, color)).unwrap_err();
            assert!(matches!(error, ImageError::TooLarge { width: 40_000, height: 40_000 }), "{error}");
            // 200 megapixels, as phones take them.
            assert_eq!(probe(&png_header(16_320, 12_240, bit_depth, color)).unwrap(), (16_320, 12_240));
        }
        for (width, height) in [(MAX_SIDE + 1, 1), (1, MAX_SIDE + 1), (1, u32::MAX - 21)] {
            let error = probe(&png_header(width, height, 8, 2)).unwrap_err();
            assert!(matches!(error, ImageError::TooLarge { .. }), "{width}×{height}: {error}");
        }
    }

    /// A PNG of the given size; its few rows of data come from a smaller one.
    fn png_header(width: u32, height: u32, bit_depth: u8, color: u8) -> Vec<u8> {
        let mut bytes = encode(&picture(), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        bytes[24..26].copy_from_slice(&[bit_depth, color]);
        let crc = png_crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn png_crc(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for &byte in bytes {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        !crc
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_or_the_whole_picture() {
        for format in FORMATS {
            let bytes = encode(&picture(), format);
            let whole = decode(&bytes).unwrap();
            for length in 0..bytes.len() {
                if let Ok(image) = decode(&bytes[..length]) {
                    assert!(image == whole, "{format:?}, {length} of {} bytes", bytes.len());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(
            format in 0..FORMATS.len(),
            cut: prop::sample::Index,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = encode(&picture(), FORMATS[format]);
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let _ = probe(&bytes);
            let _ = decode(&bytes);
            let _ = decode(&bytes[..cut.index(bytes.len())]);
        }
    }
}
