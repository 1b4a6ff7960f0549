//! Palettes, gray of two or four bits, and gray with alpha.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use image::{ColorType, ImageDecoder, ImageResult};
use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::{PhotometricInterpretation, Tag};

use super::directory::Directory;
use super::{limits, refused};

const COLORS: u16 = 262;

/// A picture whose samples the `tiff` crate unpacks as plain gray, which it can do with any; what they mean is known here.
pub(super) struct Packed<'a> {
    tiff: Decoder<Overlaid<'a>>,
    size: (u32, u32),
    bits: u8,
    meaning: Meaning,
    /// Whether 0 is white.
    inverted: bool,
}

enum Meaning {
    Palette(Vec<[u8; 3]>),
    Gray,
    /// And whether the second sample is alpha, or of no meaning.
    GrayAnd {
        alpha: bool,
    },
}

impl Packed<'_> {
    /// Nothing for pictures that others read.
    pub(super) fn new<'a>(
        bytes: &'a [u8],
        mut told: Decoder<Cursor<&'a [u8]>>,
        colors: PhotometricInterpretation,
    ) -> ImageResult<Option<Packed<'a>>> {
        let mut numbers = |tag| told.find_tag_unsigned_vec::<u16>(tag).map(Option::unwrap_or_default);
        let bits = numbers(Tag::BitsPerSample).map_err(refused)?.first().copied().unwrap_or(1);
        let samples = numbers(Tag::SamplesPerPixel).map_err(refused)?.first().copied().unwrap_or(1);
        let gray =
            matches!(colors, PhotometricInterpretation::BlackIsZero | PhotometricInterpretation::WhiteIsZero);
        let meaning = match (samples, bits) {
            (1, 1 | 2 | 4 | 8) if colors == PhotometricInterpretation::RGBPalette => {
                Meaning::Palette(palette(&numbers(Tag::ColorMap).map_err(refused)?))
            }
            (1, 2 | 4) if gray => Meaning::Gray,
            (2, 8 | 16) if gray => {
                let extra = numbers(Tag::ExtraSamples).map_err(refused)?;
                Meaning::GrayAnd { alpha: extra.first().is_none_or(|extra| *extra != 0) }
            }
            _ => return Ok(None),
        };
        let size = told.dimensions().map_err(refused)?;
        let Some(overlaid) = Overlaid::as_gray(bytes) else { return Ok(None) };
        let tiff = Decoder::new(overlaid).map_err(refused)?.with_limits(limits());
        let inverted = colors == PhotometricInterpretation::WhiteIsZero;
        Ok(Some(Packed { tiff, size, bits: bits as u8, meaning, inverted }))
    }
}

/// Its red values stand before the green and those before the blue.
fn palette(map: &[u16]) -> Vec<[u8; 3]> {
    let third = map.len() / 3;
    (0..third).map(|index| [0, third, 2 * third].map(|start| (map[start + index] >> 8) as u8)).collect()
}

impl ImageDecoder for Packed<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    fn color_type(&self) -> ColorType {
        match (&self.meaning, self.bits) {
            (Meaning::Palette(_), _) => ColorType::Rgb8,
            (Meaning::Gray, _) => ColorType::L8,
            (Meaning::GrayAnd { .. }, 16) => ColorType::La16,
            (Meaning::GrayAnd { .. }, _) => ColorType::La8,
        }
    }

    fn read_image(mut self, pixels: &mut [u8]) -> ImageResult<()> {
        let mut read = DecodingResult::U8(Vec::new());
        let layout = self.tiff.read_image_to_buffer(&mut read).map_err(refused)?;
        if layout.planes > 1 {
            return Err(refused(tiff::TiffUnsupportedError::UnsupportedPlanarConfig(None).into()));
        }
        let samples = read.as_buffer(0);
        let (samples, bits) = (samples.as_bytes(), usize::from(self.bits));
        let row = (self.size.0 as usize * bits).div_ceil(8);
        let in_row =
            |bit: usize, bytes: &[u8]| bytes[bit / 8] >> (8 - bits - bit % 8) & (u8::MAX >> (8 - bits));
        match &self.meaning {
            Meaning::Palette(colors) => {
                let rows = samples.chunks_exact(row).zip(pixels.chunks_exact_mut(self.size.0 as usize * 3));
                for (packed, out) in rows {
                    for (index, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                        let color = usize::from(in_row(index * bits, packed));
                        *out = colors.get(color).copied().unwrap_or_default();
                    }
                }
            }
            Meaning::Gray => {
                let most = u8::MAX >> (8 - bits);
                let rows = samples.chunks_exact(row).zip(pixels.chunks_exact_mut(self.size.0 as usize));
                for (packed, out) in rows {
                    for (index, out) in out.iter_mut().enumerate() {
                        *out = in_row(index * bits, packed) * (u8::MAX / most);
                    }
                }
            }
            Meaning::GrayAnd { .. } => {
                let length = samples.len().min(pixels.len());
                pixels[..length].copy_from_slice(&samples[..length]);
            }
        }
        let (pixel, gray) = match (&self.meaning, bits) {
            (Meaning::Palette(_), _) => return Ok(()),
            (Meaning::Gray, _) => (1, 1),
            (Meaning::GrayAnd { .. }, 16) => (4, 2),
            (Meaning::GrayAnd { .. }, _) => (2, 1),
        };
        for pixel in pixels.chunks_exact_mut(pixel) {
            let (gray, alpha) = pixel.split_at_mut(gray);
            if self.inverted {
                gray.iter_mut().for_each(|byte| *byte = !*byte);
            }
            if matches!(self.meaning, Meaning::GrayAnd { alpha: false }) {
                alpha.fill(u8::MAX);
            }
        }
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, pixels: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(pixels)
    }
}

/// A file that says of its samples that they are gray, whatever it really says.
struct Overlaid<'a> {
    file: Cursor<&'a [u8]>,
    place: u64,
    value: [u8; 2],
}

impl Overlaid<'_> {
    fn as_gray(bytes: &[u8]) -> Option<Overlaid<'_>> {
        let directory = Directory::read(bytes)?;
        let value = directory.short(PhotometricInterpretation::BlackIsZero.to_u16());
        Some(Overlaid { file: Cursor::new(bytes), place: directory.place_of(COLORS)? as u64, value })
    }
}

impl Read for Overlaid<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = self.file.position();
        let count = self.file.read(buffer)?;
        for (place, value) in (self.place..).zip(self.value) {
            let inside = place.checked_sub(start).and_then(|index| usize::try_from(index).ok());
            if let Some(byte) = inside.and_then(|index| buffer[..count].get_mut(index)) {
                *byte = value;
            }
        }
        Ok(count)
    }
}

impl Seek for Overlaid<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
