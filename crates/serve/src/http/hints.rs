//! The `parameters` of Hugging Face's image-to-text, as settings of the search.
//!
//! <https://huggingface.co/docs/inference-providers/tasks/image-to-text> names them, and `transformers` the rest.

use serde_json::{Map, Value};

use crate::error::ServeError;
use crate::settings::{MAX_BEAMS, MAX_WORDS, whole};
use crate::signature;

/// Objects of parameters inside the parameters.
const GROUPS: [&str; 3] = ["generate_kwargs", "generation_parameters", "generate"];
/// Ours under the names of `transformers`, with the most that is granted: they are hints, and a model of subwords counts
/// more of them than ours has words.
const NAMES: [(&str, &str, usize); 5] = [
    ("max_new_tokens", "max_length", MAX_WORDS),
    ("max_length", "max_length", MAX_WORDS),
    ("min_new_tokens", "min_length", MAX_WORDS),
    ("num_beams", "beam_size", MAX_BEAMS),
    ("no_repeat_ngram_size", "no_repeat_ngram", MAX_WORDS),
];
/// What a search that draws nothing, and a caption that follows no text, pass over.
const PASSED_OVER: [&str; 22] = [
    "do_sample",
    "early_stopping",
    "epsilon_cutoff",
    "eta_cutoff",
    "max_time",
    "num_beam_groups",
    "num_return_sequences",
    "penalty_alpha",
    "prompt",
    "repetition_penalty",
    "return_full_text",
    "return_tensors",
    "return_text",
    "seed",
    "stop",
    "stream",
    "temperature",
    "timeout",
    "top_k",
    "top_p",
    "typical_p",
    "use_cache",
];

/// Adds what `parameters` say to the settings. Ours keep their names and are checked later; a group of `transformers`' own
/// parameters may hold any.
///
/// # Errors
///
/// A name that nobody knows, or a number that is none.
pub(super) fn add(
    parameters: Map<String, Value>,
    settings: &mut Map<String, Value>,
) -> Result<(), ServeError> {
    for (name, value) in parameters {
        match value {
            Value::Null => {}
            Value::Object(group) if GROUPS.contains(&name.as_str()) => {
                for (name, value) in group {
                    hint(name, value, settings)?;
                }
            }
            value if NAMES.iter().any(|(known, ..)| *known == name) => hint(name, value, settings)?,
            value if signature::is_setting(&name) => drop(settings.insert(name, value)),
            _ if PASSED_OVER.contains(&name.as_str()) => {}
            // Refused where all settings are, with the names that there are.
            value => drop(settings.insert(name, value)),
        }
    }
    Ok(())
}

fn hint(name: String, value: Value, settings: &mut Map<String, Value>) -> Result<(), ServeError> {
    let Some((_, ours, most)) = NAMES.iter().find(|(known, ..)| *known == name) else {
        if signature::is_setting(&name) {
            settings.insert(name, value);
        }
        return Ok(());
    };
    if value.is_null() {
        return Ok(());
    }
    let number = whole(&value);
    let number =
        number.ok_or_else(|| ServeError::Malformed(format!("{name} must be a whole number, 0 or more")))?;
    settings.insert((*ours).to_owned(), number.min(*most as u64).into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(parameters: Value) -> Result<Value, String> {
        let mut settings = Map::new();
        let added = add(parameters.as_object().unwrap().clone(), &mut settings);
        added.map(|()| settings.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn parameters_of_transformers_become_settings_or_are_passed_over() {
        for (parameters, wanted) in [
            (json!({}), json!({})),
            (json!({ "max_new_tokens": 20 }), json!({ "max_length": 20 })),
            (
                json!({ "max_new_tokens": 250, "num_beams": 1000 }),
                json!({ "max_length": 100, "beam_size": 32 }),
            ),
            (
                json!({ "beam_size": 1000, "max_length": 300.0 }),
                json!({ "beam_size": 1000, "max_length": 100 }),
            ),
            (
                json!({ "generate_kwargs": { "num_beams": 4, "top_p": 0.9, "suppress_tokens": [1] } }),
                json!({ "beam_size": 4 }),
            ),
            (
                json!({ "generation_parameters": { "max_length": 9, "length_penalty": 1.0 } }),
                json!({ "max_length": 9, "length_penalty": 1.0 }),
            ),
            (json!({ "do_sample": true, "temperature": 0.7, "max_new_tokens": null }), json!({})),
            (json!({ "beams": 5 }), json!({ "beams": 5 })),
        ] {
            assert_eq!(settings(parameters.clone()).unwrap(), wanted, "{parameters}");
        }
        let error = settings(json!({ "num_beams": "four" })).unwrap_err();
        assert!(error.contains("num_beams must be a whole number"), "{error}");
    }
}
