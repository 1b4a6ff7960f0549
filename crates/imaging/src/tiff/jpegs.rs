//! JPEG inside of TIFF: each strip or tile is one, by libjpeg as all others; their common tables stand apart.

use std::io::Cursor;

use image::{ColorType, ImageDecoder, ImageResult};
use tiff::decoder::{ChunkType, Decoder};
use tiff::tags::{PhotometricInterpretation, PlanarConfiguration, Tag};

use super::refused;
use crate::error::ImageError;
use crate::jpeg::{Jpeg, Stored};
use crate::memory::EXTRA;

pub(super) struct Jpegs<'a> {
    file: &'a [u8],
    size: (u32, u32),
    /// Where each piece stands, and its length.
    pieces: Vec<(usize, usize)>,
    piece: (u32, u32),
    tables: Vec<u8>,
    stored: Stored,
}

impl Jpegs<'_> {
    pub(super) fn new<'a>(
        file: &'a [u8],
        mut tiff: Decoder<Cursor<&'a [u8]>>,
        colors: PhotometricInterpretation,
    ) -> ImageResult<Jpegs<'a>> {
        let (offsets, lengths) = match tiff.get_chunk_type() {
            ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
            ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
        };
        let planes = tiff.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(refused)?;
        let stored = match colors {
            PhotometricInterpretation::RGB => Stored::Rgb,
            PhotometricInterpretation::YCbCr | PhotometricInterpretation::BlackIsZero => Stored::AsTold,
            PhotometricInterpretation::CMYK => Stored::Cmyk,
            other => {
                let kind = tiff::TiffUnsupportedError::InterpretationWithBits(other, vec![8]);
                return Err(refused(kind.into()));
            }
        };
        if planes == Some(PlanarConfiguration::Planar.to_u16()) {
            let kind = tiff::TiffUnsupportedError::UnsupportedPlanarConfig(Some(PlanarConfiguration::Planar));
            return Err(refused(kind.into()));
        }
        let mut places = |tag| tiff.find_tag_unsigned_vec::<usize>(tag).map(Option::unwrap_or_default);
        let (offsets, lengths) = (places(offsets).map_err(refused)?, places(lengths).map_err(refused)?);
        let tables = tiff.find_tag(Tag::JPEGTables).map_err(refused)?;
        Ok(Jpegs {
            file,
            size: tiff.dimensions().map_err(refused)?,
            pieces: offsets.into_iter().zip(lengths).collect(),
            piece: tiff.chunk_dimensions(),
            tables: tables.map_or(Ok(Vec::new()), |tables| tables.into_u8_vec()).map_err(refused)?,
            stored,
        })
    }

    /// A piece with the tables that it needs, which stand in a JPEG without a picture.
    fn whole(&self, (offset, length): (usize, usize)) -> Option<Vec<u8>> {
        let piece = self.file.get(offset..offset.checked_add(length)?)?;
        Some(match self.tables.strip_suffix(b"\xff\xd9") {
            Some(tables) => [tables, piece.get(2..)?].concat(),
            None => piece.to_vec(),
        })
    }
}

impl ImageDecoder for Jpegs<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    fn color_type(&self) -> ColorType {
        ColorType::Rgb8
    }

    fn read_image(self, pixels: &mut [u8]) -> ImageResult<()> {
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let (piece_width, piece_height) = (self.piece.0 as usize, self.piece.1.min(self.size.1) as usize);
        let missing = || refused(tiff::TiffFormatError::InconsistentSizesEncountered.into());
        if piece_width == 0 || piece_height == 0 {
            return Err(missing());
        }
        let across = width.div_ceil(piece_width);
        let count = across * height.div_ceil(piece_height);
        let pieces = self.pieces.get(..count).ok_or_else(missing)?;
        for (index, &place) in pieces.iter().enumerate() {
            let (left, top) = (index % across * piece_width, index / across * piece_height);
            let (columns, rows) = (piece_width.min(width - left), piece_height.min(height - top));
            let whole = self.whole(place).ok_or_else(missing)?;
            let jpeg = Jpeg::open(&whole).map_err(of_piece)?;
            // What takes more memory than the header of the TIFF tells is not decoded.
            let (stored_width, stored_height) = jpeg.size();
            let fits = (columns..=piece_width).contains(&(stored_width as usize))
                && (rows..=piece_height.next_multiple_of(16)).contains(&(stored_height as usize));
            if !fits || jpeg.decoded_size() != jpeg.size() || jpeg.coefficients() > EXTRA {
                return Err(missing());
            }
            let decoded = jpeg.pixels(self.stored).map_err(of_piece)?;
            let stride = decoded.width() as usize * 3;
            for (row, from) in decoded.as_raw().chunks_exact(stride).take(rows).enumerate() {
                pixels[((top + row) * width + left) * 3..][..columns * 3]
                    .copy_from_slice(&from[..columns * 3]);
            }
        }
        Ok(())
    }

    fn read_image_boxed(self: Box<Self>, pixels: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(pixels)
    }
}

fn of_piece(error: ImageError) -> image::ImageError {
    let error = image::error::DecodingError::new(image::ImageFormat::Tiff.into(), error);
    image::ImageError::Decoding(error)
}
