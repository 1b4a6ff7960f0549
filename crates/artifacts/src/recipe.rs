//! What an artifact was made from: the stage, its settings and its inputs, as one hash.
//!
//! A recipe lists causes, so two runs with equal recipes give equal artifacts. Inputs are content hashes of the
//! upstream files: an upstream stage that ran again and wrote the same bytes disturbs nobody.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that decides the content of an artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The stage that writes the artifact.
    pub stage: String,
    /// Version of the stage's output: raised when its meaning changes.
    pub schema_version: u32,
    /// The settings that can change the result, resolved (defaults filled in).
    pub settings: Value,
    /// Input name to content hash.
    pub inputs: BTreeMap<String, String>,
    /// Cheap stand-ins for content too large to hash each time (name, size and time of raw files).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub watched: BTreeMap<String, String>,
}

impl Recipe {
    /// A recipe without inputs.
    ///
    /// # Errors
    ///
    /// Settings that have no form in JSON.
    pub fn new(stage: &str, schema_version: u32, settings: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Recipe {
            stage: stage.to_owned(),
            schema_version,
            settings: serde_json::to_value(settings)?,
            inputs: BTreeMap::new(),
            watched: BTreeMap::new(),
        })
    }

    /// Adds an input by its content hash.
    pub fn input(mut self, name: impl Into<String>, hash: impl Into<String>) -> Self {
        self.inputs.insert(name.into(), hash.into());
        self
    }

    /// The recipe's hash, `blake3:` and 64 hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        digest(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// What a copied file should still know: the recipe without the stand-ins, which differ between machines.
    pub fn provenance(&self) -> Value {
        serde_json::json!({
            "stage": self.stage,
            "schema_version": self.schema_version,
            "settings": self.settings,
            "inputs": self.inputs,
        })
    }

    /// The first difference to an older recipe, as a sentence for people; `None` when they are equal.
    pub fn difference(&self, old: &Recipe) -> Option<String> {
        if self.schema_version != old.schema_version {
            return Some(format!("schema version {} → {}", old.schema_version, self.schema_version));
        }
        if let Some(change) = first_change("", &old.settings, &self.settings) {
            return Some(format!("setting {change}"));
        }
        let changed = |old: &BTreeMap<String, String>, new: &BTreeMap<String, String>| {
            let mut names = new.keys().chain(old.keys());
            names.find(|name| old.get(*name) != new.get(*name)).cloned()
        };
        changed(&old.inputs, &self.inputs)
            .or_else(|| changed(&old.watched, &self.watched))
            .map(|name| format!("input {name} changed"))
    }
}

fn first_change(path: &str, old: &Value, new: &Value) -> Option<String> {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        return new.keys().chain(old.keys()).find_map(|key| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let get = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
            first_change(&path, &get(old), &get(new))
        });
    }
    (old != new).then(|| format!("{path}: {old} → {new}"))
}

/// The hash of some bytes, `blake3:` and 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("blake3:{}", blake3::hash(bytes).to_hex())
}

/// The hash of a file's content, read in pieces.
///
/// # Errors
///
/// The file cannot be read to its end.
pub fn digest_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(format!("blake3:{}", hasher.finalize().to_hex()));
        }
        hasher.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(min_count: u32) -> Recipe {
        let settings = serde_json::json!({ "vocabulary": { "min_count": min_count } });
        Recipe::new("text", 1, &settings).unwrap().input("captions", "blake3:1")
    }

    #[test]
    fn the_difference_names_the_setting_or_the_input() {
        assert_eq!(recipe(5).difference(&recipe(5)), None);
        assert_eq!(recipe(3).difference(&recipe(5)).unwrap(), "setting vocabulary.min_count: 5 → 3");
        let other = recipe(5).input("captions", "blake3:2");
        assert_eq!(other.difference(&recipe(5)).unwrap(), "input captions changed");
        assert_ne!(other.fingerprint(), recipe(5).fingerprint());
    }
}
