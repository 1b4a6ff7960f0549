//! A setting that is one value or a list of several.

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, Serialize};
use toml::Value;

/// One value, or a list of several.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrSeveral<T> {
    /// Written alone.
    One(T),
    /// Written as a list.
    Several(Vec<T>),
}

impl<T> OneOrSeveral<T> {
    /// The values in their order.
    pub fn all(&self) -> &[T] {
        match self {
            OneOrSeveral::One(value) => std::slice::from_ref(value),
            OneOrSeveral::Several(values) => values,
        }
    }

    /// Whether there is a value for each of `count` others: one alone is that of all.
    pub fn suits(&self, count: usize) -> bool {
        matches!(self, OneOrSeveral::One(_)) || self.all().len() == count
    }

    /// The values beside those that they [suit](Self::suits): one alone never ends.
    pub fn beside<'a, U>(&'a self, others: &'a [U]) -> impl Iterator<Item = (&'a U, &'a T)> {
        others.iter().zip(self.all().iter().cycle())
    }
}

// Derived, an error would only say that neither form fits.
impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOrSeveral<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match Value::deserialize(deserializer)? {
            list @ Value::Array(_) => list.try_into().map(OneOrSeveral::Several),
            value => value.try_into().map(OneOrSeveral::One),
        };
        read.map_err(|error| D::Error::custom(format!("{}, alone or in a list", error.message())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Settings {
        sizes: OneOrSeveral<u32>,
    }

    fn sizes(value: &str) -> Result<OneOrSeveral<u32>, String> {
        let settings = toml::from_str::<Settings>(&format!("sizes = {value}"));
        settings.map(|settings| settings.sizes).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn one_stands_for_all_and_a_list_for_as_many() {
        let (one, two) = (sizes("7").unwrap(), sizes("[1, 2]").unwrap());
        assert_eq!((one.all(), two.all()), (&[7][..], &[1, 2][..]));
        assert_eq!([0, 1, 2, 3].map(|count| one.suits(count)), [true; 4]);
        assert_eq!([0, 1, 2, 3].map(|count| two.suits(count)), [false, false, true, false]);
        let beside = |sizes: &OneOrSeveral<u32>| -> Vec<(char, u32)> {
            sizes.beside(&['a', 'b']).map(|(name, size)| (*name, *size)).collect()
        };
        assert_eq!(beside(&one), [('a', 7), ('b', 7)]);
        assert_eq!(beside(&two), [('a', 1), ('b', 2)]);
    }

    #[test]
    fn what_is_neither_is_refused_by_what_one_would_be() {
        for wrong in ["\"many\"", "[1, \"many\"]"] {
            let error = sizes(wrong).unwrap_err();
            assert!(error.contains("expected u32, alone or in a list"), "{error}");
        }
    }
}
