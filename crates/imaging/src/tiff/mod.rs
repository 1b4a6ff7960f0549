//! TIFF: what the `image` crate reads, and palettes, gray of few bits or with alpha, and JPEG inside, which it does not.

mod directory;
mod jpegs;
mod packed;

use std::io::Cursor;

use image::ImageDecoder;
use image::metadata::Orientation;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::{CompressionMethod, PhotometricInterpretation, Tag};

use crate::error::{ImageError, MAX_MEMORY};
use crate::orientation;

pub(crate) use directory::is_raw_photo;

/// The packet of XMP.
const XMP: Tag = Tag::Unknown(700);

/// The first picture of a TIFF, and which way up it is.
pub(crate) fn open(bytes: &[u8]) -> Result<(Box<dyn ImageDecoder + '_>, Orientation), ImageError> {
    let mut tiff = Decoder::new(Cursor::new(bytes)).map_err(refused)?.with_limits(limits());
    let number = |tiff: &mut Decoder<_>, tag| tiff.find_tag_unsigned::<u64>(tag).unwrap_or_default();
    let orientation = match number(&mut tiff, Tag::Orientation) {
        None => orientation::of(None, tiff.get_tag_u8_vec(XMP).ok().as_deref()),
        number => orientation::numbered(number),
    };
    let short = |tiff: &mut Decoder<_>, tag| number(tiff, tag).and_then(|number| u16::try_from(number).ok());
    let compression = short(&mut tiff, Tag::Compression).map(CompressionMethod::from_u16_exhaustive);
    let colors = short(&mut tiff, Tag::PhotometricInterpretation);
    let colors = colors.and_then(PhotometricInterpretation::from_u16);
    let decoder: Box<dyn ImageDecoder> = match (compression, colors) {
        (Some(CompressionMethod::ModernJPEG), Some(colors)) => {
            Box::new(jpegs::Jpegs::new(bytes, tiff, colors)?)
        }
        (_, Some(colors)) => match packed::Packed::new(bytes, tiff, colors)? {
            Some(packed) => Box::new(packed),
            None => Box::new(image::codecs::tiff::TiffDecoder::new(Cursor::new(bytes))?),
        },
        _ => Box::new(image::codecs::tiff::TiffDecoder::new(Cursor::new(bytes))?),
    };
    Ok((decoder, orientation))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_MEMORY as usize;
    limits.intermediate_buffer_size = MAX_MEMORY as usize;
    limits
}

/// What the crate says, in the words that all formats share.
fn refused(error: tiff::TiffError) -> image::ImageError {
    use image::ImageFormat::Tiff;
    use image::error::{
        DecodingError, ImageFormatHint, LimitError, LimitErrorKind, UnsupportedError, UnsupportedErrorKind,
    };
    match error {
        tiff::TiffError::IoError(error) => image::ImageError::IoError(error),
        tiff::TiffError::LimitsExceeded => {
            image::ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory))
        }
        tiff::TiffError::UnsupportedError(what) => {
            let kind = UnsupportedErrorKind::GenericFeature(what.to_string());
            image::ImageError::Unsupported(UnsupportedError::from_format_and_kind(
                ImageFormatHint::Exact(Tiff),
                kind,
            ))
        }
        other => image::ImageError::Decoding(DecodingError::new(Tiff.into(), other)),
    }
}
