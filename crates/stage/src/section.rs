//! What a section of the config is to the programs that read it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A section of the config: plain settings with documented defaults.
///
/// Every struct in it is `#[serde(default)]`, so that any of its keys may stand alone.
pub trait Section: Default + Serialize + DeserializeOwned + schemars::JsonSchema {}
impl<T: Default + Serialize + DeserializeOwned + schemars::JsonSchema> Section for T {}
