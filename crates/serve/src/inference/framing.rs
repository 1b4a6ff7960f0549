//! Elements of a BYTES tensor as bytes, in the Open Inference Protocol: before each its length, four bytes, little-endian.

use axum::body::Bytes;

use crate::error::ServeError;

/// Bytes of a length.
const PREFIX: usize = 4;
/// Most elements of a tensor: an empty one takes more room unpacked than it has bytes.
const MOST: usize = 4096;

/// The elements in `bytes`, which stay where they are.
///
/// # Errors
///
/// A length that the bytes behind it do not have, or too many elements.
pub(crate) fn elements(mut bytes: Bytes) -> Result<Vec<Bytes>, ServeError> {
    let mut elements = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<PREFIX>() {
        let length = u32::from_le_bytes(*length) as usize;
        if length > rest.len() {
            return Err(ServeError::Malformed(format!(
                "the photo at index {} is cut short: before each stands its length, {PREFIX} bytes, little-endian",
                elements.len()
            )));
        }
        if elements.len() == MOST {
            return Err(ServeError::Malformed(format!("more than {MOST} photos in a tensor")));
        }
        elements.push(bytes.slice(PREFIX..PREFIX + length));
        bytes = bytes.slice(PREFIX + length..);
    }
    match bytes.is_empty() {
        true => Ok(elements),
        false => Err(ServeError::Malformed("bytes are left over behind the photos".to_owned())),
    }
}

/// Texts as elements. A caption is shorter than any length that four bytes can say.
pub(crate) fn framed<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    texts.fold(Vec::new(), |mut bytes, text| {
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_framed_reads_back_and_what_is_cut_is_refused(
            texts in prop::collection::vec(".{0,40}", 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = Bytes::from(framed(texts.iter().map(String::as_str)));
            let read = elements(bytes.clone()).unwrap();
            prop_assert_eq!(read, texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect::<Vec<_>>());
            // Between two elements nothing shows that there were more: the shape does.
            let ends = texts.iter().scan(0, |end, text| { *end += PREFIX + text.len(); Some(*end) });
            let ends: Vec<usize> = std::iter::once(0).chain(ends).collect();
            let length = cut.index(bytes.len() + 1);
            prop_assert_eq!(elements(bytes.slice(..length)).is_ok(), ends.contains(&length));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(read) = elements(bytes.clone().into()) {
                prop_assert_eq!(read.iter().map(|element| PREFIX + element.len()).sum::<usize>(), bytes.len());
            }
        }
    }

    #[test]
    fn empty_elements_have_an_end() {
        assert_eq!(elements(vec![0; MOST * PREFIX].into()).unwrap().len(), MOST);
        assert!(elements(vec![0; (MOST + 1) * PREFIX].into()).is_err());
        // A photo that nobody put its length before.
        let error = elements(Bytes::from_static(b"\xff\xd8\xff\xe0\0\x10JFIF")).unwrap_err().to_string();
        assert!(error.contains("at index 0 is cut short: before each stands its length"), "{error}");
    }
}
