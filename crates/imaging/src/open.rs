//! What a file is, how large, which way up, and what it will take: all that its header tells.

use std::borrow::Cow;
use std::io::Cursor;

use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::caught::caught;
use crate::content::{self, Content};
use crate::error::{ImageError, MAX_MEMORY, MAX_SIDE};
use crate::jpeg::Jpeg;
use crate::png::PngDecoder;
use crate::{bmp, memory, orientation, tiff, truncation};

/// An image within the limits, of which nothing but the header has been read.
pub(crate) struct Opened<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) orientation: Orientation,
    /// Bytes of memory at the peak.
    pub(crate) needed: u64,
}

/// What gives the pixels.
pub(crate) enum Source<'a> {
    Jpeg(Box<Jpeg<'a>>),
    Other(ImageFormat, Box<dyn ImageDecoder + 'a>),
}

impl Source<'_> {
    /// Width and height as stored.
    pub(crate) fn size(&self) -> (u32, u32) {
        match self {
            Source::Jpeg(jpeg) => jpeg.size(),
            Source::Other(_, decoder) => decoder.dimensions(),
        }
    }

    fn orientation(&mut self) -> Orientation {
        match self {
            Source::Jpeg(jpeg) => {
                let (exif, xmp) = jpeg.metadata();
                orientation::of(exif, xmp)
            }
            Source::Other(ImageFormat::Tiff, decoder) => {
                decoder.orientation().unwrap_or(Orientation::NoTransforms)
            }
            // Damaged metadata are no reason to lose the photo.
            Source::Other(_, decoder) => {
                let (exif, xmp) = (decoder.exif_metadata(), decoder.xmp_metadata());
                orientation::of(exif.ok().flatten().as_deref(), xmp.ok().flatten().as_deref())
            }
        }
    }

    fn memory_needed(&self, file: u64, sideways: bool) -> u64 {
        match self {
            Source::Jpeg(jpeg) => memory::of_jpeg(jpeg, sideways),
            Source::Other(format, decoder) => memory::needed(*format, file, decoder.as_ref(), sideways),
        }
    }
}

/// Reads no more than the header, and refuses what is beyond the limits.
pub(crate) fn open(bytes: &[u8]) -> Result<Opened<'_>, ImageError> {
    caught(|| header(bytes))
}

fn header(bytes: &[u8]) -> Result<Opened<'_>, ImageError> {
    let format = format(bytes)?;
    if truncation::is_cut_short(format, bytes) {
        return Err(ImageError::Truncated);
    }
    let (mut turned, mut copied) = (None, 0);
    let mut source = match format {
        ImageFormat::Jpeg => Source::Jpeg(Box::new(Jpeg::open(bytes)?)),
        ImageFormat::Png => Source::Other(format, Box::new(PngDecoder::new(bytes)?)),
        ImageFormat::Tiff => {
            let (decoder, orientation) = tiff::open(bytes)?;
            turned = Some(orientation);
            Source::Other(format, decoder)
        }
        _ => {
            let file = if format == ImageFormat::Bmp { bmp::of_windows(bytes) } else { Cow::Borrowed(bytes) };
            copied = if matches!(file, Cow::Owned(_)) { bytes.len() as u64 } else { 0 };
            let mut reader = ImageReader::with_format(Cursor::new(file), format);
            let mut limits = Limits::default();
            limits.max_alloc = Some(MAX_MEMORY);
            reader.limits(limits);
            Source::Other(format, Box::new(reader.into_decoder()?))
        }
    };
    let (width, height) = source.size();
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged(format!("an image of {width}×{height} pixels")));
    }
    let too_large = ImageError::TooLarge { width, height };
    // First, for what is needed can be counted of sides within the limit alone.
    if width.max(height) > MAX_SIDE {
        return Err(too_large);
    }
    let orientation = turned.unwrap_or_else(|| source.orientation());
    let sideways = orientation::is_sideways(orientation);
    let needed = copied + source.memory_needed(bytes.len() as u64, sideways);
    if needed > MAX_MEMORY {
        return Err(too_large);
    }
    Ok(Opened { source, orientation, needed })
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
