//! The metric that chooses a checkpoint.

use std::borrow::Cow;

use metrics::Metric;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// A metric of generated validation captions, one of [`Monitor::CHOICES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Monitor(Metric);

impl Monitor {
    /// The metrics that training can watch: both look at runs of words, CIDEr-D is the smoother.
    pub const CHOICES: [Metric; 2] = [Metric::Bleu4, Metric::CiderD];

    /// The metric itself.
    pub fn metric(self) -> Metric {
        self.0
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Monitor(Metric::CiderD)
    }
}

impl<'de> Deserialize<'de> for Monitor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const KEYS: &[&str] = &[Monitor::CHOICES[0].key(), Monitor::CHOICES[1].key()];
        let key = String::deserialize(deserializer)?;
        let metric = Monitor::CHOICES.into_iter().find(|metric| metric.key() == key);
        metric.map(Monitor).ok_or_else(|| D::Error::unknown_variant(&key, KEYS))
    }
}

impl JsonSchema for Monitor {
    fn schema_name() -> Cow<'static, str> {
        "Monitor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let choice = |metric: Metric| json!({ "const": metric.key(), "description": metric.about() });
        let choices: Vec<Value> = Monitor::CHOICES.into_iter().map(choice).collect();
        json_schema!({ "description": "A metric of generated captions.", "oneOf": choices })
    }
}
