//! Addresses and paths.

use url::Url;

use crate::StoreError;

/// Whether a place is an address of a store rather than a path of this machine.
///
/// ```
/// assert!(store::is_address("s3://bucket/photos"));
/// assert!(!store::is_address("data/raw/photos"));
/// ```
pub fn is_address(place: &str) -> bool {
    place.split_once("://").is_some_and(|(scheme, _)| {
        scheme.len() > 1 && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '+')
    })
}

/// The address, if it is one.
pub(crate) fn parse(place: &str) -> Result<Url, StoreError> {
    let refused = |reason: String| StoreError::Address { at: place.to_owned(), reason };
    let url = Url::parse(place).map_err(|error| refused(error.to_string()))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("it has a `?` or a `#`, which names no object of a store".to_owned()));
    }
    Ok(url)
}
