//! Captions inside JSON: a sentence, a list of them, or the objects that other programs make of a sentence.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

/// One caption as it was written. `null` is an empty one, which readers count as they count `""`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence(pub String);

/// The captions of an image: one sentence or a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captions(pub Vec<String>);

/// A sentence with more to it, of Karpathy (`raw`, `tokens`) or COCO (`caption`).
#[derive(Deserialize)]
struct Object {
    raw: Option<String>,
    caption: Option<String>,
    tokens: Option<Vec<String>>,
}

impl<'de> Deserialize<'de> for Sentence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyKind;
        impl<'de> Visitor<'de> for AnyKind {
            type Value = Sentence;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sentence")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sentence, E> {
                Ok(Sentence(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Sentence, E> {
                Ok(Sentence(text))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Sentence, E> {
                Ok(Sentence(String::new()))
            }

            // Tables say of what may be missing that it is there.
            fn visit_none<E: de::Error>(self) -> Result<Sentence, E> {
                self.visit_unit()
            }

            fn visit_some<D: Deserializer<'de>>(self, present: D) -> Result<Sentence, D::Error> {
                present.deserialize_any(self)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Sentence, A::Error> {
                let object = Object::deserialize(MapAccessDeserializer::new(map))?;
                let tokens = || object.tokens.map(|tokens| tokens.join(" "));
                let text = object.raw.or(object.caption).or_else(tokens);
                text.map(Sentence)
                    .ok_or_else(|| de::Error::custom("a sentence without `raw`, `caption` or `tokens`"))
            }
        }
        deserializer.deserialize_any(AnyKind)
    }
}

impl<'de> Deserialize<'de> for Captions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyKind;
        impl<'de> Visitor<'de> for AnyKind {
            type Value = Captions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sentence or a list of sentences")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Captions, E> {
                Ok(Captions(vec![text.to_owned()]))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Captions, E> {
                Ok(Captions(vec![String::new()]))
            }

            fn visit_none<E: de::Error>(self) -> Result<Captions, E> {
                self.visit_unit()
            }

            fn visit_some<D: Deserializer<'de>>(self, present: D) -> Result<Captions, D::Error> {
                present.deserialize_any(self)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Captions, A::Error> {
                let list = Vec::<Sentence>::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(Captions(list.into_iter().map(|Sentence(text)| text).collect()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Captions, A::Error> {
                let Sentence(text) = Sentence::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Captions(vec![text]))
            }
        }
        deserializer.deserialize_any(AnyKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captions(json: &str) -> Result<Vec<String>, serde_json::Error> {
        serde_json::from_str(json).map(|Captions(list)| list)
    }

    #[test]
    fn sentences_are_read_in_the_shapes_they_come_in() {
        for json in [
            r#""a dog""#,
            r#"["a dog"]"#,
            r#"{"caption": "a dog", "id": 4}"#,
            r#"[{"raw": "a dog", "tokens": ["dog"], "sentid": 1}]"#,
            r#"[{"tokens": ["a", "dog"]}]"#,
        ] {
            assert_eq!(captions(json).unwrap(), ["a dog"], "{json}");
        }
        assert_eq!(captions("null").unwrap(), [""]);
        assert_eq!(captions(r#"["a", null]"#).unwrap(), ["a", ""]);
        assert!(captions("[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_sentence_is_said() {
        let cases = [
            ("3", "integer `3`"),
            ("[3]", "expected a sentence"),
            ("{}", "without `raw`, `caption` or `tokens`"),
        ];
        for (json, part) in cases {
            let message = captions(json).unwrap_err().to_string();
            assert!(message.contains(part), "{json}: {message}");
        }
    }
}
