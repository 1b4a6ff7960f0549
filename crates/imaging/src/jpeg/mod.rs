//! JPEG by libjpeg alone, bit for bit the pixels of Pillow and so of the pipelines that the backbones were trained with.
//!
//! Decoders are free to round, and the `image` crate's rounds otherwise: by 0.2 levels on average, which moves the
//! features of EfficientNet-Lite0 by 4 % (relative error, median), as much as another resizing kernel would.

mod segments;
#[allow(unsafe_code, reason = "libjpeg's handler of messages is a C function")]
mod warnings;

use image::RgbImage;
use mozjpeg::{ColorSpace, Decompress};

use crate::error::ImageError;
use crate::rgb;

pub(crate) use segments::has_end;
use segments::{APP1, header};

/// A larger picture is decoded at a half, a quarter or an eighth, of which networks still see only a small part.
const MOST_PIXELS: u64 = 100_000_000;

/// How the colours of a JPEG are stored.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Stored {
    /// As the file itself tells; CMYK inverted, as Adobe began it and everybody reads it.
    AsTold,
    /// As RGB, whatever the file seems to tell.
    Rgb,
    /// As CMYK that is not inverted.
    Cmyk,
}

/// A JPEG whose header has been read. libjpeg leaves by unwinding when it gives up: [`caught`](crate::caught::caught) is around all of it.
pub(crate) struct Jpeg<'a> {
    bytes: &'a [u8],
    decoder: Decompress<&'a [u8]>,
    /// At how many eighths of its size it is decoded.
    scale: u8,
}

impl Jpeg<'_> {
    pub(crate) fn open(bytes: &[u8]) -> Result<Jpeg<'_>, ImageError> {
        if let Some(process) = unread_process(bytes) {
            return Err(ImageError::Unsupported(format!("{process} is not read")));
        }
        let mut decoder =
            Decompress::builder().with_err(warnings::damage_is_fatal()).from_mem(bytes).map_err(damaged)?;
        let (width, height) = decoder.size();
        let pixels = width as u64 * height as u64;
        let scale =
            [8, 4, 2].into_iter().find(|&scale| pixels * scale * scale / 64 <= MOST_PIXELS).unwrap_or(1)
                as u8;
        if scale < 8 {
            decoder.scale(scale);
        }
        Ok(Jpeg { bytes, decoder, scale })
    }

    /// Width and height as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.decoder.width() as u32, self.decoder.height() as u32)
    }

    /// Width and height as decoded.
    pub(crate) fn decoded_size(&self) -> (u32, u32) {
        let (width, height) = self.size();
        let scaled = |side: u32| (u64::from(side) * u64::from(self.scale)).div_ceil(8) as u32;
        (scaled(width), scaled(height))
    }

    /// EXIF and XMP: of each the first segment.
    pub(crate) fn metadata(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        let of = |start: &[u8]| {
            let mut segments = header(self.bytes).filter(|(marker, _)| *marker == APP1);
            segments.find_map(|(_, content)| content.strip_prefix(start))
        };
        (of(b"Exif\0\0"), of(b"http://ns.adobe.com/xap/1.0/\0"))
    }

    /// Bytes of a sample of all components of a pixel, as libjpeg gives them.
    pub(crate) fn bytes_per_pixel(&self) -> u64 {
        if self.is_cmyk() { 4 } else { 3 }
    }

    /// Bytes that wait for one another before the first pixel is there: all coefficients, 16 bits each, of a picture in several scans.
    pub(crate) fn coefficients(&self) -> u64 {
        if !has_several_scans(self.bytes) {
            return 0;
        }
        let (width, height) = self.size();
        let components = self.decoder.components();
        let factor =
            |of: fn(&mozjpeg::CompInfo) -> i32| components.iter().map(of).max().unwrap_or(1).max(1) as u64;
        let (across, down) = (factor(|c| c.h_samp_factor), factor(|c| c.v_samp_factor));
        let blocks = |side: u32, factor: u64| u64::from(side).div_ceil(8 * factor);
        let units = blocks(width, across) * blocks(height, down);
        let blocks: u64 = components.iter().map(|c| c.h_samp_factor as u64 * c.v_samp_factor as u64).sum();
        units * blocks * 64 * 2
    }

    pub(crate) fn pixels(self, stored: Stored) -> Result<RgbImage, ImageError> {
        let cmyk = self.is_cmyk();
        // What is asked for as it seems to be stored is not converted.
        let seeming = self.decoder.color_space();
        let rgb = if stored == Stored::Rgb && self.decoder.components().len() == 3 {
            seeming
        } else {
            ColorSpace::JCS_RGB
        };
        let mut scan =
            self.decoder.to_colorspace(if cmyk { ColorSpace::JCS_CMYK } else { rgb }).map_err(damaged)?;
        let size = (scan.width() as u32, scan.height() as u32);
        let pixels = scan.read_scanlines::<u8>().map_err(damaged)?;
        scan.finish().map_err(damaged)?;
        let pixels = if cmyk { rgb::of_cmyk(pixels, stored != Stored::Cmyk) } else { pixels };
        let wrong = || ImageError::Damaged("the pixels do not fill the picture".to_owned());
        RgbImage::from_raw(size.0, size.1, pixels).ok_or_else(wrong)
    }

    fn is_cmyk(&self) -> bool {
        matches!(self.decoder.color_space(), ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK)
    }
}

fn damaged(error: std::io::Error) -> ImageError {
    ImageError::Damaged(error.to_string())
}

/// The kind of a JPEG that libjpeg does not read, by the marker of its frame (T.81, table B.1; T.87 for JPEG-LS).
fn unread_process(bytes: &[u8]) -> Option<&'static str> {
    let is_frame =
        |marker: u8| matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xf7);
    let (marker, frame) = header(bytes).find(|(marker, _)| is_frame(*marker))?;
    match (marker, frame.first()) {
        (0xc3 | 0xcb, _) => Some("a lossless JPEG"),
        (0xc5..=0xc7 | 0xcd..=0xcf, _) => Some("a hierarchical JPEG"),
        (0xf7, _) => Some("a JPEG-LS image"),
        (_, Some(12)) => Some("a JPEG of 12 bits per channel"),
        _ => None,
    }
}

/// Whether the coefficients of the whole picture have to wait for one another: it is progressive, or its components come
/// one by one.
fn has_several_scans(bytes: &[u8]) -> bool {
    let mut components = 0;
    for (marker, content) in segments::Segments::of(bytes) {
        match marker {
            0xc2 | 0xca => return true,
            // Precision, height, width, then how many components the frame has.
            0xc0 | 0xc1 | 0xc9 => components = content.get(5).copied().unwrap_or_default(),
            segments::START_OF_SCAN => return content.first().is_some_and(|scan| *scan < components),
            _ => {}
        }
    }
    false
}
