//! Why a sidecar is left as it is.

/// Why a sidecar is left as it is. The caller names the file.
#[derive(Debug, thiserror::Error)]
pub enum XmpError {
    /// No sidecar is so large.
    #[error("is larger than {0} bytes, which no sidecar is")]
    TooLarge(usize),
    /// Neither of the two encodings that XMP has.
    #[error("is no text in UTF-8 or UTF-16")]
    NotText,
    /// It says that it is written in an encoding that XMP does not have.
    #[error("says that it is written in {0}, but XMP is UTF-8 or UTF-16")]
    Encoding(String),
    /// Damaged, or with a document type, which XMP does not have.
    #[error("is no well-formed XML: {0}")]
    Xml(#[from] roxmltree::Error),
    /// XML of another kind.
    #[error("holds no rdf:RDF, so it is no XMP")]
    NoRdf,
    /// What was to be written does not read as it should, because of an odd way of writing around it.
    #[error("is written in a way that cannot be edited safely: {0} would not read as written")]
    Odd(&'static str),
}
