//! What is refused as an image, and why.

use std::io::ErrorKind;

/// Most pixels of an image; larger ones are refused before anything is allocated.
pub const MAX_PIXELS: u64 = 100_000_000;
/// Longest side of an image in pixels.
pub const MAX_SIDE: u32 = 30_000;
/// Most bytes of an image file: [`MAX_PIXELS`] of 16-bit RGBA, uncompressed, and some room.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// No bytes.
    #[error("the file is empty")]
    Empty,
    /// No image at all, as far as its first bytes tell.
    #[error("not an image of a known format (JPEG, PNG, WebP, GIF, TIFF, BMP): it looks like {0}")]
    UnknownFormat(String),
    /// A format, or a variant of one, that is not read.
    #[error("{0}: save it as a JPEG, or as a PNG of 8 or 16 bits per channel")]
    Unsupported(String),
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
    /// The decoder would need more memory than such an image deserves.
    #[error(
        "decoding takes more memory than a picture of its size needs: save it anew without its extra data"
    )]
    TooMuchMemory,
    /// The file ends before the image does.
    #[error("the file is cut short: fetch it again")]
    Truncated,
    /// What the decoder said.
    #[error("damaged: {0}")]
    Damaged(String),
}

impl From<image::ImageError> for ImageError {
    fn from(error: image::ImageError) -> Self {
        match error {
            image::ImageError::Unsupported(what) => Self::Unsupported(what.to_string()),
            image::ImageError::Limits(_) => Self::TooMuchMemory,
            image::ImageError::IoError(what) if what.kind() == ErrorKind::UnexpectedEof => Self::Truncated,
            other => Self::Damaged(other.to_string()),
        }
    }
}
