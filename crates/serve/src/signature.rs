//! The model as TensorFlow Serving describes one: its only signature.

use crate::error::ServeError;
use crate::proto::tensorflow::DataType;

/// The name that clients use who name none.
pub(crate) const SIGNATURE: &str = "serving_default";
/// What a signature does, in TensorFlow's words.
pub(crate) const METHOD: &str = "tensorflow/serving/predict";
/// The input with the files' bytes.
pub(crate) const PHOTO: &str = "image_bytes";

/// An input or output of shape `[-1]`: a value per photo.
pub(crate) struct Tensor {
    pub(crate) name: &'static str,
    pub(crate) kind: DataType,
}

/// The photo, and settings that may be left out.
pub(crate) const INPUTS: [Tensor; 9] = [
    Tensor { name: PHOTO, kind: DataType::DtString },
    Tensor { name: "beam_size", kind: DataType::DtInt64 },
    Tensor { name: "min_length", kind: DataType::DtInt64 },
    Tensor { name: "max_length", kind: DataType::DtInt64 },
    Tensor { name: "length_penalty", kind: DataType::DtDouble },
    Tensor { name: "no_repeat_ngram", kind: DataType::DtInt64 },
    Tensor { name: "groups", kind: DataType::DtInt64 },
    Tensor { name: "diversity", kind: DataType::DtDouble },
    Tensor { name: "consensus", kind: DataType::DtDouble },
];

/// The best caption and its natural log-probability.
pub(crate) const OUTPUTS: [Tensor; 2] = [
    Tensor { name: "caption", kind: DataType::DtString },
    Tensor { name: "log_probability", kind: DataType::DtDouble },
];

/// Refuses a name that is no input.
pub(crate) fn check_input(name: &str) -> Result<(), ServeError> {
    if INPUTS.iter().any(|input| input.name == name) {
        return Ok(());
    }
    let known = INPUTS.map(|input| input.name).join(", ");
    Err(ServeError::Malformed(format!("there is no input {name:?}: there are {known}")))
}

/// Whether a setting of the search has this name.
pub(crate) fn is_setting(name: &str) -> bool {
    name != PHOTO && check_input(name).is_ok()
}

/// Refuses a name that is no output.
pub(crate) fn check_output(name: &str) -> Result<(), ServeError> {
    if OUTPUTS.iter().any(|output| output.name == name) {
        return Ok(());
    }
    let known = OUTPUTS.map(|output| output.name).join(", ");
    Err(ServeError::Malformed(format!("there is no output {name:?}: there are {known}")))
}

/// Refuses any other signature.
pub(crate) fn check(name: &str) -> Result<(), ServeError> {
    match name {
        "" | SIGNATURE => Ok(()),
        other => Err(ServeError::Malformed(format!(
            "there is no signature {other:?}: the only one is {SIGNATURE}"
        ))),
    }
}

/// The value that a setting has for a photo: one for all, or one each.
pub(crate) fn of_row<'a, T>(
    name: &str,
    values: &'a [T],
    row: usize,
    rows: usize,
) -> Result<&'a T, ServeError> {
    match values {
        [one] => Ok(one),
        many if many.len() == rows => Ok(&many[row]),
        many => {
            let many = many.len();
            Err(ServeError::Malformed(format!(
                "{name} has {many} values for {rows} photos: send one, or one each"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use caption::SearchSettings;

    use super::*;

    #[test]
    fn all_settings_are_inputs() {
        let settings = serde_json::to_value(SearchSettings::default()).unwrap();
        let mut settings: Vec<&String> = settings.as_object().unwrap().keys().collect();
        let mut inputs: Vec<&str> = INPUTS.iter().skip(1).map(|tensor| tensor.name).collect();
        settings.sort();
        inputs.sort_unstable();
        assert_eq!(settings, inputs);
    }
}
