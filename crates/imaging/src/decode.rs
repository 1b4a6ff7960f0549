//! Bytes of a file → 8-bit RGB as a person would see it.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use crate::content::{self, Content};
use crate::error::{ImageError, MAX_PIXELS, MAX_SIDE};
use crate::png::PngDecoder;
use crate::{jpeg, memory, rgb, truncation};

/// Width and height of an image as shown (after EXIF orientation), read from its header only.
///
/// # Errors
///
/// Bytes that are no image of a known format, a header cut short, or more pixels than [`MAX_PIXELS`] or [`MAX_SIDE`]
/// allow.
pub fn probe(bytes: &[u8]) -> Result<(u32, u32), ImageError> {
    let mut image = open(bytes)?;
    let (width, height) = image.decoder.dimensions();
    Ok(if image.is_sideways() { (height, width) } else { (width, height) })
}

/// Most memory in bytes that [`decode`] takes, beside the file itself: what decoder and conversions hold at a time. The
/// picture that it returns is a part of that. Read from the header only.
///
/// # Errors
///
/// Those of [`probe`].
pub fn memory_needed(bytes: &[u8]) -> Result<u64, ImageError> {
    let mut image = open(bytes)?;
    let sideways = image.is_sideways();
    Ok(memory::needed(image.format, bytes, image.decoder.as_ref(), sideways))
}

/// Decodes an image: the first frame, turned as EXIF says, alpha over white, gray and CMYK as RGB, colour profiles
/// ignored. The content decides the format, not a name.
///
/// 16 bits are scaled to 8 and rounded: at most 1 level from Pillow's colour images, of which it keeps the upper byte;
/// in gray ones Pillow clips what is above 255, so most of the picture turns white there.
///
/// # Errors
///
/// Those of [`probe`], and an image that is cut short, damaged, of a variant that is not read, or that takes too much
/// memory.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let mut image = open(bytes)?;
    // A damaged EXIF block is no reason to lose the photo.
    let orientation = image.decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let color = image.decoder.color_type();
    if matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(ImageError::Unsupported("floating-point pixels have no agreed white".into()));
    }
    let pixels = match jpeg::decode(bytes)? {
        Some(pixels) => pixels,
        None => image.pixels(color)?,
    };
    if orientation == Orientation::NoTransforms {
        return Ok(pixels);
    }
    let mut turned = DynamicImage::ImageRgb8(pixels);
    turned.apply_orientation(orientation);
    Ok(turned.into_rgb8())
}

/// An image within the limits, of which nothing but the header has been read.
struct Opened<'a> {
    format: ImageFormat,
    decoder: Box<dyn ImageDecoder + 'a>,
}

impl Opened<'_> {
    /// Whether EXIF's orientation swaps width and height.
    fn is_sideways(&mut self) -> bool {
        self.decoder.orientation().is_ok_and(|orientation| orientation.to_exif() >= 5)
    }

    fn pixels(mut self, color: ColorType) -> Result<RgbImage, ImageError> {
        let (width, height) = self.decoder.dimensions();
        let mut limits = Limits::default();
        limits.max_alloc = Some(memory::decoder_limit(self.decoder.as_ref()));
        self.decoder.set_limits(limits)?;
        let total = self.decoder.total_bytes() as usize;
        let mut samples = Vec::new();
        samples.try_reserve_exact(total).map_err(|_| ImageError::TooMuchMemory)?;
        samples.resize(total, 0);
        self.decoder.read_image_boxed(&mut samples)?;
        let pixels = rgb::convert(color, width as usize, samples);
        let wrong = || ImageError::Damaged("the pixels do not fill the picture".to_owned());
        RgbImage::from_raw(width, height, pixels).ok_or_else(wrong)
    }
}

fn open(bytes: &[u8]) -> Result<Opened<'_>, ImageError> {
    let format = format(bytes)?;
    if truncation::is_cut_short(format, bytes) {
        return Err(ImageError::Truncated);
    }
    let decoder: Box<dyn ImageDecoder> = match format {
        ImageFormat::Png => Box::new(PngDecoder::new(bytes)?),
        _ => {
            let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
            let mut limits = Limits::default();
            limits.max_alloc = Some(memory::MOST);
            reader.limits(limits);
            Box::new(reader.into_decoder()?)
        }
    };
    let (width, height) = decoder.dimensions();
    if width.max(height) > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(ImageError::TooLarge { width, height });
    }
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged(format!("an image of {width}×{height} pixels")));
    }
    Ok(Opened { format, decoder })
}

/// The format that the first bytes of a file tell, if it is one that is read.
pub(crate) fn format(bytes: &[u8]) -> Result<ImageFormat, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    content::image_format(bytes).ok_or_else(|| match content::of(bytes) {
        Content::Picture(words) => ImageError::Unsupported(content::unread(&words)),
        _ => ImageError::UnknownFormat(content::describe(bytes)),
    })
}

#[cfg(test)]
mod tests {
    use image::{Rgb, Rgba};
    use proptest::prelude::*;

    use super::*;

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
            let error = decode(&png_header(20_000, 20_000, bit_depth, color)).unwrap_err();
            assert!(matches!(error, ImageError::TooLarge { width: 20_000, height: 20_000 }), "{error}");
        }
        assert!(matches!(probe(&png_header(30_001, 1, 8, 2)), Err(ImageError::TooLarge { .. })));
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
