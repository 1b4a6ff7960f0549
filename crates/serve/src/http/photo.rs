//! Photos as text: base64, however a program writes it.
//!
//! Everything is read straight into what is wanted: a megabyte of JSON that is something else is refused where it begins
//! to be, before it takes its many times larger room in memory.

use std::fmt;
use std::io::{self, Read};

use axum::body::Bytes;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::read::DecoderReader;
use base64::{DecodeError, Engine};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes that tell text from a photo.
const TEXT: usize = 64;
/// To who sends an array of numbers.
pub(super) const NO_PIXELS: &str =
    "the photo is numbers: send the bytes of its file as base64, not its pixels";

/// The bytes that a text stands for: base64 with or without its padding, in lines, in the alphabet for addresses, or behind
/// the head of a `data:` address.
///
/// # Errors
///
/// What is no base64, in a sentence.
pub(super) fn bytes_of(text: &str) -> Result<Bytes, String> {
    let text = text.trim();
    let text = match is_data(text.as_bytes()) {
        true => data(text)?,
        false => text,
    };
    // As most write it.
    if let Ok(bytes) = STANDARD.decode(text) {
        return Ok(bytes.into());
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(
            "the photo is an address, and the server fetches none: send its bytes as base64".to_owned()
        );
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    match DecoderReader::new(Plain(text.as_bytes()), &STANDARD).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes.into()),
        Err(error) => Err(no_base64(&error)),
    }
}

/// Whether bytes are a photo's text and no photo: a `data:` address, or base64, whose alphabet no photo keeps to for long.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_\r\n".contains(byte);
    is_data(bytes) || bytes.get(..TEXT).is_some_and(|start| start.iter().all(plain))
}

/// Whether bytes are the text of a `data:` address.
fn is_data(bytes: &[u8]) -> bool {
    bytes.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"))
}

/// What a `data:` address holds, which is base64 where it is a photo (RFC 2397).
fn data(address: &str) -> Result<&str, String> {
    let (head, text) = address.split_once(',').ok_or("a data: address has no comma before its base64")?;
    let kind = head.rsplit(';').next().unwrap_or_default().trim();
    match kind.eq_ignore_ascii_case("base64") {
        true => Ok(text.trim()),
        false => Err("a data: address of a photo says ;base64 before its comma".to_owned()),
    }
}

fn no_base64(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<DecodeError>());
    match inner {
        Some(DecodeError::InvalidByte(_, b'=')) => "the base64 goes on behind its end".to_owned(),
        Some(DecodeError::InvalidByte(_, byte)) => {
            format!("the photo is no base64: {:?} is not of its alphabet", char::from(*byte))
        }
        _ => "the base64 of the photo is cut short".to_owned(),
    }
}

/// Base64 without the white space between its lines, in the standard alphabet.
struct Plain<'a>(&'a [u8]);

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let (Some(place), Some((byte, rest))) = (buffer.get_mut(filled), self.0.split_first()) {
            self.0 = rest;
            if !byte.is_ascii_whitespace() {
                *place = match byte {
                    b'-' => b'+',
                    b'_' => b'/',
                    other => *other,
                };
                filled += 1;
            }
        }
        Ok(filled)
    }
}

/// A photo in JSON: a string of base64, or an object around one, such as TensorFlow's `{"b64": "…"}`.
pub(super) struct Photo(pub(super) Bytes);

/// Names that clients give a photo in an object.
pub(super) const NAMES: [&str; 6] = ["b64", "image_bytes", "image", "data", "body", "file"];

impl<'de> Deserialize<'de> for Photo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text { bare: true })
    }
}

/// TensorFlow's way alone, `{"b64": "…"}`: a bare string is a text there, and no bytes.
pub(super) struct Binary(pub(super) Bytes);

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text { bare: false }).map(|photo| Binary(photo.0))
    }
}

struct Text {
    bare: bool,
}

impl<'de> Visitor<'de> for Text {
    type Value = Photo;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self.bare {
            true => "a photo as a string of base64",
            false => r#"a photo as {"b64": "…"} with base64"#,
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Photo, E> {
        match self.bare {
            true => bytes_of(text).map(Photo).map_err(E::custom),
            false => Err(E::custom(r#"the photo is a bare string: put its base64 into {"b64": "…"}"#)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Photo, A::Error> {
        let name = map.next_key::<String>()?.unwrap_or_default();
        let known = if self.bare { NAMES.contains(&name.as_str()) } else { name == "b64" };
        if !known {
            return Err(de::Error::custom(format!(
                r#"a photo as an object is {{"b64": "…"}}: it has {name:?}"#
            )));
        }
        let photo = map.next_value::<Photo>()?;
        match map.next_key::<String>()? {
            None => Ok(photo),
            Some(other) => Err(de::Error::custom(format!("beside the photo there is {other:?}"))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Photo, A::Error> {
        Err(de::Error::custom(NO_PIXELS))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Photo, E> {
        Err(E::custom(NO_PIXELS))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Photo, E> {
        Err(E::custom(NO_PIXELS))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Photo, E> {
        Err(E::custom(NO_PIXELS))
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    /// How programs write the same bytes.
    fn spellings(bytes: &[u8]) -> Vec<String> {
        let text = STANDARD.encode(bytes);
        let lines = |end: &str| {
            let lines =
                text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap().to_owned() + end);
            lines.collect::<String>()
        };
        vec![
            text.trim_end_matches('=').to_owned(),
            lines("\n"),
            lines("\r\n"),
            format!("  {text}\n"),
            URL_SAFE.encode(bytes),
            URL_SAFE_NO_PAD.encode(bytes),
            format!("data:image/jpeg;base64,{text}"),
            format!("DATA:image/png;charset=utf-8;BASE64,{}", lines("\n")),
            text,
        ]
    }

    proptest! {
        #[test]
        fn every_spelling_says_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
            for text in spellings(&bytes) {
                prop_assert_eq!(bytes_of(&text).unwrap(), bytes.clone(), "{}", text);
            }
        }
    }

    #[test]
    fn what_is_no_base64_is_said_in_a_sentence() {
        for (text, wanted) in [
            ("photo.jpg!", "'.' is not of its alphabet"),
            ("aGVsbG8\u{e9}", "is not of its alphabet"),
            ("a", "cut short"),
            ("https://example.org/a.jpg", "the server fetches none"),
            ("data:image/jpeg,abc", "says ;base64"),
            ("data:image/jpeg;base64", "no comma"),
            ("aGk=aGk=", "behind its end"),
        ] {
            let error = bytes_of(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
