//! JSON of requests.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use crate::error::ServeError;

/// Most elements of a list in a request.
pub(super) const MOST: usize = 4096;

/// What serde calls things, and what people do who write JSON.
const WORDS: [(&str, &str); 6] = [
    ("invalid type: ", "found "),
    ("invalid value: ", "found "),
    ("found map", "found an object"),
    ("found sequence", "found a list"),
    ("expected a map", "expected an object"),
    ("expected a sequence", "expected a list"),
];

/// A body as JSON. What is wrong with it is said together with what to `send` instead.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], send: &str) -> Result<T, ServeError> {
    // Windows' tools put a byte order mark before it.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(ServeError::Malformed(format!("the request is a list; send {send}")));
    }
    serde_json::from_slice(body).map_err(|error| {
        let problem = match error.classify() {
            Category::Data => {
                WORDS.iter().fold(error.to_string(), |text, (serde, json)| text.replace(serde, json))
            }
            _ => format!("the body is no whole JSON ({error})"),
        };
        ServeError::Malformed(format!("{}; send {send}", crate::error::brief(&problem)))
    })
}

/// One value, or a list of at most [`MOST`] (nested lists count as one: `[[3]]` is a column of shape `[1, 1]`).
pub(super) struct OneOrMany<T> {
    pub(super) all: Vec<T>,
    /// Whether it was a list.
    pub(super) list: bool,
}

impl<T> OneOrMany<T> {
    fn one(value: T) -> OneOrMany<T> {
        OneOrMany { all: vec![value], list: false }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values(PhantomData))
    }
}

/// Values of a [`Small`], and bytes of its names and texts.
const SMALL: usize = 4096;
const SMALL_TEXT: usize = 64 << 10;

/// JSON of any shape, which stays small: two bytes of a body could become dozens in memory.
pub(super) struct Small(pub(super) Value);

impl<'de> Deserialize<'de> for Small {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Small, D::Error> {
        let mut room = Room { values: SMALL, text: SMALL_TEXT };
        room.deserialize(deserializer).map(Small)
    }
}

/// What may still come.
struct Room {
    values: usize,
    text: usize,
}

impl Room {
    fn text<E: de::Error>(&mut self, text: &str) -> Result<String, E> {
        match self.text.checked_sub(text.len()) {
            Some(left) => self.text = left,
            None => {
                return Err(E::custom(format_args!(
                    "more than {} kB of text beside the photos",
                    SMALL_TEXT >> 10
                )));
            }
        }
        Ok(text.to_owned())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Room {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.values.checked_sub(1) {
            Some(left) => self.values = left,
            None => {
                return Err(de::Error::custom(format_args!("more than {SMALL} values beside the photos")));
            }
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Room {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.text(text).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = list.next_element_seed(&mut *self)? {
            all.push(value);
        }
        Ok(all.into())
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some(name) = map.next_key::<Cow<str>>()? {
            let name = self.text(&name)?;
            object.insert(name, map.next_value_seed(&mut *self)?);
        }
        Ok(object.into())
    }
}

/// An object of [`Small`] values.
#[derive(Default)]
pub(super) struct SmallObject(pub(super) serde_json::Map<String, Value>);

impl<'de> Deserialize<'de> for SmallObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SmallObject, D::Error> {
        match Small::deserialize(deserializer)?.0 {
            Value::Object(object) => Ok(SmallObject(object)),
            Value::Null => Ok(SmallObject::default()),
            _ => Err(de::Error::custom("parameters are an object")),
        }
    }
}

/// An error inside a list, with its place; in nested lists, with all of them.
fn at<E: de::Error>(index: usize, error: &E) -> E {
    let error = error.to_string();
    match error.strip_prefix("at index ") {
        Some(inner) => E::custom(format_args!("at index {index}, {inner}")),
        None => E::custom(format_args!("at index {index}: {error}")),
    }
}

struct Values<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a value or a list of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        for index in 0.. {
            let values = list.next_element::<OneOrMany<T>>();
            let Some(mut values) = values.map_err(|error| at(index, &error))? else { break };
            all.append(&mut values.all);
            if all.len() > MOST {
                return Err(de::Error::custom(format_args!("more than {MOST} values")));
            }
        }
        Ok(OneOrMany { all, list: true })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(OneOrMany::one)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(de::value::StrDeserializer::new(text)).map(OneOrMany::one)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        T::deserialize(de::value::U64Deserializer::new(number)).map(OneOrMany::one)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        T::deserialize(de::value::I64Deserializer::new(number)).map(OneOrMany::one)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        T::deserialize(de::value::F64Deserializer::new(number)).map(OneOrMany::one)
    }
}
