//! The settings of a search, as requests give them.

use caption::SearchSettings;
use serde_json::{Map, Value};

use crate::error::ServeError;

/// A search takes time and memory by the product of these, so strangers do not choose them freely.
pub(crate) const MAX_BEAMS: usize = 32;
pub(crate) const MAX_WORDS: usize = 100;

/// Settings by name, over those of the model. Names and values are checked before anything waits for them.
pub(crate) fn search(
    model: &SearchSettings,
    settings: Map<String, Value>,
) -> Result<SearchSettings, ServeError> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(model) else {
        return Err(ServeError::Internal("the model has no settings".to_owned()));
    };
    for (name, value) in settings {
        let Some(ours) = all.get(&name) else {
            let known: Vec<&str> = all.keys().map(String::as_str).collect();
            let known = known.join(", ");
            return Err(ServeError::Malformed(format!("there is no setting {name}: there are {known}")));
        };
        let (value, kind) = match ours.is_u64() {
            true => (whole(&value).map(Value::from), "a whole number, 0 or more"),
            false => (value.is_number().then_some(value), "a number"),
        };
        let value = value.ok_or_else(|| ServeError::Malformed(format!("{name} must be {kind}")))?;
        all.insert(name, value);
    }
    let settings: SearchSettings = serde_json::from_value(Value::Object(all))
        .map_err(|error| ServeError::Malformed(error.to_string()))?;
    let too_many = [
        ("beam_size", settings.beam_size, MAX_BEAMS.max(model.beam_size)),
        ("max_length", settings.max_length, MAX_WORDS.max(model.max_length)),
    ];
    if let Some((name, value, most)) = too_many.into_iter().find(|(_, value, most)| value > most) {
        return Err(ServeError::Malformed(format!("{name} is {value}: the server allows {most}")));
    }
    match settings.problem() {
        Some(problem) => Err(ServeError::Malformed(problem.to_string())),
        None => Ok(settings),
    }
}

/// A whole number, in whichever way a program writes one: `3.0` is what Python makes of a float.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    let float =
        || value.as_f64().filter(|float| (0.0..=f64::from(u32::MAX)).contains(float) && float.fract() == 0.0);
    value.as_u64().or_else(|| float().map(|float| float as u64))
}

/// The value of a setting where everything is text, as in a query.
pub(crate) fn value_of(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(settings: Value) -> Result<SearchSettings, String> {
        let model = SearchSettings { beam_size: 7, no_repeat_ngram: 2, ..Default::default() };
        search(&model, settings.as_object().unwrap().clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_lie_over_those_of_the_model() {
        let seven = SearchSettings { beam_size: 7, no_repeat_ngram: 2, ..Default::default() };
        assert_eq!(of(json!({})).unwrap(), seven);
        let five = SearchSettings { beam_size: 5, ..seven };
        assert_eq!(of(json!({ "beam_size": 5 })).unwrap(), five);
        assert_eq!(of(json!({ "beam_size": 5.0 })).unwrap(), five);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (settings, complaint) in [
            (json!({ "beams": 5 }), "there is no setting beams: there are beam_size"),
            (json!({ "beam_size": "many" }), "beam_size must be a whole number"),
            (json!({ "beam_size": -1 }), "beam_size must be a whole number"),
            (json!({ "beam_size": 2.5 }), "beam_size must be a whole number"),
            (json!({ "beam_size": 0 }), "beam_size must be at least 1"),
            (json!({ "beam_size": 1000 }), "beam_size is 1000: the server allows 32"),
            (json!({ "max_length": 1_000_000 }), "max_length is 1000000"),
            (json!({ "length_penalty": null }), "length_penalty must be a number"),
        ] {
            let error = of(settings).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
