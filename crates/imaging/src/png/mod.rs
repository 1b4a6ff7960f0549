//! PNG row by row: however deep its samples are, only the 8-bit picture is ever whole in memory.
//!
//! Colour profiles and texts are passed over without being unpacked: a megabyte of them may unpack to a gigabyte.

mod metadata;

use std::io::Cursor;

use image::error::{DecodingError, LimitError, LimitErrorKind};
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use png::{BitDepth, InterlaceInfo, Transformations};

use crate::memory::EXTRA;
use crate::rgb::{self, Order};
use metadata::Metadata;

/// A PNG whose header has been read. Its pixels come as 8-bit RGB over white, whatever the file holds.
pub(crate) struct PngDecoder<'a> {
    file: &'a [u8],
    reader: png::Reader<Cursor<&'a [u8]>>,
    /// Of the rows before they are converted.
    samples: ColorType,
}

impl PngDecoder<'_> {
    pub(crate) fn new(bytes: &[u8]) -> ImageResult<PngDecoder<'_>> {
        let limits = png::Limits { bytes: EXTRA as usize };
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        // At least 8 bits per sample, palettes and transparent colours resolved.
        decoder.set_transformations(Transformations::EXPAND);
        let reader = decoder.read_info().map_err(error)?;
        let info = reader.info();
        let palette = info.palette.as_deref().filter(|_| info.color_type == png::ColorType::Indexed);
        // The decoder relies on three bytes for each colour.
        if let Some(palette) = palette.filter(|palette| !palette.len().is_multiple_of(3)) {
            let problem = format!("a palette of {} bytes", palette.len());
            return Err(ImageError::Decoding(DecodingError::new(ImageFormat::Png.into(), problem)));
        }
        let (color, depth) = reader.output_color_type();
        let samples = match (color, depth == BitDepth::Sixteen) {
            (png::ColorType::Grayscale, false) => ColorType::L8,
            (png::ColorType::Grayscale, true) => ColorType::L16,
            (png::ColorType::GrayscaleAlpha, false) => ColorType::La8,
            (png::ColorType::GrayscaleAlpha, true) => ColorType::La16,
            (png::ColorType::Rgb | png::ColorType::Indexed, false) => ColorType::Rgb8,
            (png::ColorType::Rgb | png::ColorType::Indexed, true) => ColorType::Rgb16,
            (png::ColorType::Rgba, false) => ColorType::Rgba8,
            (png::ColorType::Rgba, true) => ColorType::Rgba16,
        };
        Ok(PngDecoder { file: bytes, reader, samples })
    }
}

impl ImageDecoder for PngDecoder<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.reader.info().size()
    }

    fn color_type(&self) -> ColorType {
        ColorType::Rgb8
    }

    fn exif_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(Metadata::of(self.file).exif)
    }

    fn xmp_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(Metadata::of(self.file).xmp)
    }

    fn read_image(mut self, pixels: &mut [u8]) -> ImageResult<()> {
        let info = self.reader.info();
        // How many rows a picture has whose passes are not told apart.
        let rows = if info.interlaced { usize::MAX } else { info.height as usize };
        let stride = self.dimensions().0 as usize * 3;
        let (mut converted, mut line) = (vec![0; stride], 0);
        loop {
            let row = match self.reader.next_interlaced_row() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                // Only what stands behind the pixels is missing.
                Err(png::DecodingError::IoError(_)) if line == rows => break,
                Err(other) => return Err(error(other)),
            };
            let width = row.data().len() / usize::from(self.samples.bytes_per_pixel());
            match row.interlace() {
                InterlaceInfo::Adam7(pass) => {
                    rgb::row(self.samples, Order::Big, row.data(), &mut converted);
                    png::expand_interlaced_row(pixels, stride, &converted[..width * 3], pass, 24);
                }
                InterlaceInfo::Null(_) => {
                    let line_of = pixels.get_mut(line * stride..).unwrap_or_default();
                    rgb::row(self.samples, Order::Big, row.data(), line_of);
                }
            }
            line += 1;
        }
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, pixels: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(pixels)
    }
}

fn error(error: png::DecodingError) -> ImageError {
    match error {
        png::DecodingError::IoError(error) => ImageError::IoError(error),
        png::DecodingError::LimitsExceeded => {
            ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory))
        }
        other => ImageError::Decoding(DecodingError::new(ImageFormat::Png.into(), other)),
    }
}
