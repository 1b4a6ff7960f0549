//! Photos inside JSON.
//!
//! Everything is read straight into what is wanted: a megabyte of JSON that is something else is refused where it begins
//! to be, before it takes its many times larger room in memory.

use std::fmt;

use axum::body::Bytes;
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// Most elements of a list in a request.
pub(super) const MOST: usize = 4096;

const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A string of base64 in JSON, with or without its padding.
pub(super) struct Base64(pub(super) Bytes);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Base64;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a photo as a string of base64")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Base64, E> {
                let bytes =
                    STANDARD.decode(text).map_err(|error| E::custom(format!("no base64: {error}")))?;
                Ok(Base64(bytes.into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// One value, or a list of at most [`MOST`] (nested lists count as one: `[[3]]` is a column of shape `[1, 1]`).
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values(std::marker::PhantomData))
    }
}

struct Values<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a value or a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(mut values) = list.next_element::<OneOrMany<T>>()? {
            all.append(&mut values.0);
            if all.len() > MOST {
                return Err(de::Error::custom(format_args!("more than {MOST} values")));
            }
        }
        Ok(OneOrMany(all))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|one| OneOrMany(vec![one]))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(de::value::StrDeserializer::new(text)).map(|one| OneOrMany(vec![one]))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        T::deserialize(de::value::U64Deserializer::new(number)).map(|one| OneOrMany(vec![one]))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        T::deserialize(de::value::I64Deserializer::new(number)).map(|one| OneOrMany(vec![one]))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        T::deserialize(de::value::F64Deserializer::new(number)).map(|one| OneOrMany(vec![one]))
    }
}
