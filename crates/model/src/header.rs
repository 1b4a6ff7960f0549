//! The JSON in a safetensors header of ours, which begins with the number of its format.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::weights::NamedArrays;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    format: u32,
    #[serde(flatten)]
    content: T,
}

/// What stands under the header entry.
pub(crate) fn text(format: u32, content: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(&Versioned { format, content })
}

/// What stands under the header entry `key` of a file; the error says what is wrong with it.
pub(crate) fn parse<T: DeserializeOwned>(file: &NamedArrays, key: &str, format: u32) -> Result<T, String> {
    let json = file.metadata().get(key).ok_or_else(|| format!("it has no header entry {key}"))?;
    parse_value(serde_json::from_str(json).map_err(|error| error.to_string())?, format)
}

/// The same of JSON that stands elsewhere.
pub(crate) fn parse_value<T: DeserializeOwned>(value: Value, format: u32) -> Result<T, String> {
    if value.get("format").and_then(Value::as_u64) != Some(u64::from(format)) {
        return Err(format!("its format is {:?}, this program reads {format}", value.get("format")));
    }
    let versioned: Versioned<T> = serde_json::from_value(value).map_err(|error| error.to_string())?;
    Ok(versioned.content)
}
