//! Bytes of a file → 8-bit RGB as a person would see it.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader, Limits, RgbImage};

use crate::jpeg;

/// Most pixels of an image; larger ones are refused before anything is allocated.
pub const MAX_PIXELS: u64 = 100_000_000;
/// Longest side of an image in pixels.
pub const MAX_SIDE: u32 = 30_000;
const MAX_BYTES: u64 = 1 << 30;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// Not one of the formats that are read.
    #[error("not an image of a known format (JPEG, PNG, WebP, GIF, TIFF, BMP); it begins with {0}")]
    UnknownFormat(String),
    /// More pixels than anyone means to caption.
    #[error(
        "{width}×{height} pixels are more than the {MAX_PIXELS} (or {MAX_SIDE} a side) that are read: scale it down"
    )]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The file ends before the image does.
    #[error("the file is cut short")]
    Truncated,
    /// Floating-point pixels, whose white is anyone's guess.
    #[error("{0:?} pixels are not supported: save it with 8 or 16 bits a channel")]
    Unsupported(ColorType),
    /// What the decoder said.
    #[error("damaged: {0}")]
    Damaged(#[from] image::ImageError),
}

/// Width and height of an image as shown (after EXIF orientation), read from its header only.
pub fn probe(bytes: &[u8]) -> Result<(u32, u32), ImageError> {
    let mut decoder = open(bytes)?;
    let (width, height) = decoder.dimensions();
    let sideways = decoder.orientation().is_ok_and(|orientation| orientation.to_exif() >= 5);
    Ok(if sideways { (height, width) } else { (width, height) })
}

/// Decodes an image: the first frame, turned as EXIF says, alpha over white, 16 bits scaled to 8 (where Pillow's
/// `convert` clips instead), gray and CMYK as RGB. The content decides the format, not a name.
pub fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    let mut decoder = open(bytes)?;
    // A damaged EXIF block is no reason to lose the photo.
    let orientation = decoder.orientation().ok();
    let color = decoder.color_type();
    if matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) {
        return Err(ImageError::Unsupported(color));
    }
    let mut image = DynamicImage::from_decoder(decoder)?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    Ok(if color.has_alpha() { over_white(&image) } else { image.into_rgb8() })
}

fn open(bytes: &[u8]) -> Result<impl ImageDecoder + '_, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if image::guess_format(bytes).is_err() {
        let start = bytes.iter().take(12).copied().collect::<Vec<u8>>();
        return Err(ImageError::UnknownFormat(format!("{:?}", String::from_utf8_lossy(&start))));
    }
    if jpeg::is_cut_short(bytes) {
        return Err(ImageError::Truncated);
    }
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(image::ImageError::from)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if width.max(height) > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(ImageError::TooLarge { width, height });
    }
    Ok(decoder)
}

fn over_white(image: &DynamicImage) -> RgbImage {
    let rgba = image.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0.map(u32::from);
        let blend = |value: u32| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        image::Rgb([blend(red), blend(green), blend(blue)])
    })
}

#[cfg(test)]
mod tests {
    use image::{ImageFormat, Rgb, Rgba};
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
        assert!(error.contains("Dear diary"), "{error}");
    }

    #[test]
    fn an_image_too_large_is_refused_from_its_header() {
        // A PNG header of 20,000×20,000 pixels; nothing else of the file is there to be read.
        let mut bytes = encode(&picture(), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&20_000u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&20_000u32.to_be_bytes());
        let crc = png_crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = decode(&bytes).unwrap_err();
        assert!(matches!(error, ImageError::TooLarge { width: 20_000, height: 20_000 }), "{error}");
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
    fn half_a_file_is_an_error() {
        for format in FORMATS {
            let bytes = encode(&picture(), format);
            let half = &bytes[..bytes.len() / 2];
            assert!(decode(half).is_err(), "{format:?}");
        }
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(
            format in 0usize..6,
            cut in 0.0f64..1.0,
            changes in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..8),
        ) {
            let mut bytes = encode(&picture(), FORMATS[format]);
            for (place, value) in changes {
                let place = (place * bytes.len() as f64) as usize;
                bytes[place] = value;
            }
            bytes.truncate((bytes.len() as f64 * (0.3 + cut)) as usize);
            let _ = decode(&bytes);
        }
    }
}
