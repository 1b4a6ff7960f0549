//! JSON files, with errors for people who did not write the parser.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{ReadError, clip, text};

/// Reads `file`; an error names the field that is not as `shape` says.
///
/// # Errors
/// A file that cannot be read, is no text, no JSON, or of another shape.
pub fn read<T: DeserializeOwned>(file: &Path, shape: &'static str) -> Result<T, ReadError> {
    parse(file, &text::read(file)?, shape)
}

/// The value that the text of `file` holds.
///
/// # Errors
/// Text that is no JSON or of another shape.
pub fn parse<T: DeserializeOwned>(file: &Path, text: &str, shape: &'static str) -> Result<T, ReadError> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let malformed = |field: &str, source: &serde_json::Error| {
        let field = if field == "." { String::new() } else { format!("{}: ", clip(field)) };
        ReadError::Json { file: file.to_owned(), field, problem: problem(text, source), shape }
    };
    let value = serde_path_to_error::deserialize(&mut parser)
        .map_err(|error| malformed(&error.path().to_string(), error.inner()))?;
    parser.end().map_err(|error| malformed(".", &error))?;
    Ok(value)
}

/// What is wrong with a JSON text, in words; `error` is what the parser said of it.
pub(crate) fn problem(text: &str, error: &serde_json::Error) -> String {
    if text.trim().is_empty() {
        return "the file is empty".to_owned();
    }
    let at = format!("line {} column {}", error.line(), error.column());
    if let Some(word) = python_number(text, error) {
        return format!("{word} at {at} is no JSON: Python writes it for a missing number; write null");
    }
    plain(&clip(&error.to_string()))
}

/// The parser's words for kinds of values, as JSON has them.
const WORDS: [(&str, &str); 5] = [
    ("invalid type: map", "invalid type: an object"),
    ("invalid type: sequence", "invalid type: a list"),
    ("invalid type: unit value", "invalid type: null"),
    ("expected a map", "expected an object"),
    ("expected a sequence", "expected a list"),
];

/// What the parser says in words of JSON instead of Rust's.
fn plain(message: &str) -> String {
    let message = WORDS.iter().fold(message.to_owned(), |message, (from, to)| message.replace(from, to));
    match message.split_once("expected struct ") {
        Some((before, named)) => {
            let rest = named.split_once(' ').map_or("", |(_, rest)| rest);
            format!("{before}expected an object {rest}")
        }
        None => message,
    }
}

/// `NaN` or `Infinity` where the parser stopped, as Python's `json.dump` writes them.
fn python_number(text: &str, error: &serde_json::Error) -> Option<&'static str> {
    if !error.is_syntax() {
        return None;
    }
    let line = text.split('\n').nth(error.line().checked_sub(1)?)?;
    let start = error.column().saturating_sub("-Infinity".len());
    let around: &[u8] = line.as_bytes().get(start..)?;
    let around = &around[..around.len().min(2 * "-Infinity".len())];
    let words = ["NaN", "-Infinity", "Infinity"];
    words.into_iter().find(|word| around.windows(word.len()).any(|window| window == word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coco::{Coco, SHAPE};

    fn message(text: &str) -> String {
        parse::<Coco>(Path::new("c.json"), text, SHAPE).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_field_and_the_shape() {
        let long = format!(r#"{{"images": "{}"}}"#, "a".repeat(100_000));
        let key = format!(r#"{{"annotations": [], "{}": NaN}}"#, "a".repeat(100_000));
        let cases: [(&str, &[&str]); 8] = [
            ("", &["c.json: the file is empty; expected {"]),
            (r#"{"annotations": [{"image_id": 1.5}]}"#, &["annotations[0].image_id: 1.5 is no id"]),
            (r#"{"annotations": [{"image_id": 1}]}"#, &["annotations[0]: missing field `caption`"]),
            ("{\"annotations\": [],\n \"area\": NaN}", &["NaN at line 2", "Python", "write null"]),
            (r#"{"score": -Infinity}"#, &["Infinity at line 1"]),
            ("3", &["integer `3`, expected an object at line 1"]),
            (&long, &["images: invalid type: string", "…; expected"]),
            (&key, &["aaa…: NaN at line 1"]),
        ];
        for (text, parts) in cases {
            let message = message(text);
            assert!(parts.iter().all(|part| message.contains(part)) && message.len() < 600, "{message}");
        }
        // The word alone is no fault.
        assert!(!message(r#"{"images": "NaN"}"#).contains("Python"));
    }
}
