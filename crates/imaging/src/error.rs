//! What is refused as an image, and why.

use std::io::ErrorKind;

use image::error::{ImageFormatHint, UnsupportedErrorKind};

/// Most memory in bytes that decoding may take; a picture that needs more is refused before anything is allocated.
pub const MAX_MEMORY: u64 = 2 << 30;
/// Longest side of an image in pixels, as JPEG counts them.
pub const MAX_SIDE: u32 = u16::MAX as u32;
/// Most bytes of an image file: what [`MAX_MEMORY`] lets it hold uncompressed, and itself.
pub const MAX_FILE_BYTES: u64 = MAX_MEMORY / 2;

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
    /// More than there is memory for.
    #[error(
        "{width}×{height} pixels take more than the {} GiB of memory (or are longer than the {MAX_SIDE} pixels) that are given to a picture: scale it down",
        MAX_MEMORY >> 30
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
            image::ImageError::Unsupported(what) => Self::Unsupported(match what.kind() {
                UnsupportedErrorKind::GenericFeature(feature) => {
                    format!("{} images of this kind are not read ({feature})", name(&what.format_hint()))
                }
                UnsupportedErrorKind::Color(_) => {
                    format!("{} images with colours of this kind are not read", name(&what.format_hint()))
                }
                _ => what.to_string(),
            }),
            image::ImageError::Limits(_) => Self::TooMuchMemory,
            image::ImageError::IoError(what) if what.kind() == ErrorKind::UnexpectedEof => Self::Truncated,
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// The name of a format, as people write it.
fn name(format: &ImageFormatHint) -> String {
    match format {
        ImageFormatHint::Exact(format) => format.extensions_str().first().unwrap_or(&"").to_uppercase(),
        _ => format.to_string(),
    }
}
