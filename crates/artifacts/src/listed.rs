//! A list that may be written as its only element, in configs.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Reads a list of values that are written as text, or one of them alone: for `#[serde(deserialize_with = …)]`.
///
/// # Errors
///
/// Neither of both, or an element that is none.
pub fn one_or_more<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Listed<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Listed<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name, or a list of names")
        }

        fn visit_str<E: Error>(self, one: &str) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(StrDeserializer::new(one))?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, several: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(several))
        }
    }

    deserializer.deserialize_any(Listed(PhantomData))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Split;

    #[test]
    fn a_name_alone_is_a_list_of_one() {
        let read =
            |value: serde_json::Value| one_or_more::<Split, _>(value).map_err(|error| error.to_string());
        assert_eq!(read(json!("val")), Ok(vec![Split::Val]));
        assert_eq!(read(json!(["val", "test"])), Ok(vec![Split::Val, Split::Test]));
        assert_eq!(read(json!([])), Ok(vec![]));
        assert!(read(json!("vale")).unwrap_err().contains("unknown variant `vale`"));
        assert!(read(json!(3)).unwrap_err().contains("expected a name, or a list of names"));
    }
}
