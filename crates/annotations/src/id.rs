//! Ids of images and captions.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// Floating point numbers up to here hold every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An id, whichever way it was written: `1`, `"1"`, `1.0` and `"1.0"` are the same one, `"001"` is another.
///
/// Tables of pandas make `1.0` of a column of whole numbers that once held a gap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Kind);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Number(i64),
    Text(String),
}

impl From<i64> for Id {
    fn from(number: i64) -> Self {
        Id(Kind::Number(number))
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        let whole = text.strip_suffix(".0").unwrap_or(text);
        match whole.parse::<i64>() {
            Ok(number) if number.to_string() == whole => Id::from(number),
            _ => Id(Kind::Text(text.to_owned())),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Number(number) => number.fmt(f),
            Kind::Text(text) => text.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyKind;
        impl Visitor<'_> for AnyKind {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id, which is a whole number or a text")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id, E> {
                Ok(Id::from(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id::from(number.to_string().as_str()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Id, E> {
                if number.fract() != 0.0 {
                    return Err(E::custom(format!("{number} is no id: an id is a whole number or a text")));
                }
                if number.abs() > EXACT {
                    let problem = "as a floating point number this id has lost digits: write it as text";
                    return Err(E::custom(problem));
                }
                Ok(Id::from(number as i64))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id::from(text))
            }
        }
        deserializer.deserialize_any(AnyKind)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(json: &str) -> Result<Id, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn one_id_has_many_spellings() {
        for same in ["7", "7.0", "7e0", r#""7""#, r#""7.0""#] {
            assert_eq!(id(same).unwrap(), Id::from(7), "{same}");
        }
        let others = ["-7", "70", r#""07""#, r#""+7""#, r#"" 7""#, r#""7.00""#, r#""""#, r#""a""#];
        for other in others {
            assert_ne!(id(other).unwrap(), Id::from(7), "{other}");
        }
        assert_eq!(id("18446744073709551615").unwrap(), id(r#""18446744073709551615""#).unwrap());
    }

    #[test]
    fn what_is_no_id_is_said() {
        let cases = [
            ("1.5", "1.5 is no id"),
            ("1e300", "lost digits"),
            ("null", "expected an id"),
            ("[1]", "expected an id"),
        ];
        for (json, part) in cases {
            let message = id(json).unwrap_err().to_string();
            assert!(message.contains(part), "{json}: {message}");
        }
    }

    proptest! {
        #[test]
        fn numbers_and_their_text_are_one_id(number: i64) {
            let written = id(&number.to_string()).unwrap();
            prop_assert_eq!(&written, &id(&format!("\"{number}\"")).unwrap());
            prop_assert_eq!(written.to_string(), number.to_string());
        }

        #[test]
        fn an_id_is_itself_again(text in ".*") {
            let once = Id::from(text.as_str());
            prop_assert_eq!(&Id::from(once.to_string().as_str()), &once);
        }
    }
}
