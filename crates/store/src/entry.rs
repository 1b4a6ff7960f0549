//! What a listing says.

/// What a listing says of one file or object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Below the folder, parts separated by `/`.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Differs after every change of the bytes.
    pub stamp: String,
}
