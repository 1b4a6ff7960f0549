//! The kind of a file, told by how it begins.

/// What a file is by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Parquet,
    Safetensors,
    Json,
    /// Named, with its article.
    Other(&'static str),
}

/// Files that people mistake for artifacts, by their first bytes.
const KNOWN: [(&[u8], &str); 13] = [
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"PK\x03\x04", "a zip archive (PyTorch's .pth files are such)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"%PDF", "a PDF"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80\x02", "a pickle"),
];

impl Kind {
    /// The kind of a file that begins with these bytes.
    pub(super) fn of(beginning: &[u8]) -> Kind {
        if beginning.is_empty() {
            return Kind::Other("an empty file");
        }
        if beginning.starts_with(b"PAR1") {
            return Kind::Parquet;
        }
        // The length of the header, which begins with a brace.
        if beginning.get(8) == Some(&b'{') && beginning[6..8] == [0, 0] {
            return Kind::Safetensors;
        }
        if let Some((_, kind)) = KNOWN.iter().find(|(magic, _)| beginning.starts_with(magic)) {
            return Kind::Other(kind);
        }
        match (beginning.get(4..8), beginning.get(8..12)) {
            (_, Some(b"WEBP")) => return Kind::Other("a WebP image"),
            (Some(b"ftyp"), _) => return Kind::Other("an MP4 video"),
            _ => {}
        }
        // The last character may be cut in the middle.
        let is_text = match std::str::from_utf8(beginning) {
            Ok(text) => !text.contains('\0'),
            Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
        };
        match beginning.trim_ascii_start().first() {
            Some(b'{' | b'[') if is_text => Kind::Json,
            _ if is_text => Kind::Other("text"),
            _ => Kind::Other("a file of an unknown format"),
        }
    }

    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Parquet => "a Parquet table",
            Kind::Safetensors => "a safetensors file",
            Kind::Json => "JSON",
            Kind::Other(name) => name,
        }
    }
}
