//! Rows as JSON objects: one per line, or all in a list.

use std::path::Path;

use serde_json::{Map, Value};

use super::columns::Columns;
use super::{Row, Table};
use crate::{Captions, Location, ReadError, clip, json, text};

type Object = Map<String, Value>;

/// One object per line.
pub(super) fn lines(file: &Path, text: &str) -> Result<Table, ReadError> {
    let mut table = Table::default();
    for (line, json) in text::lines(text) {
        let at = Location::new(file, line);
        let object = match serde_json::from_str::<Object>(json) {
            Ok(object) => object,
            Err(_) if line == 1 && is_whole_file(text) => {
                let problem =
                    "this is one JSON object, not rows; Karpathy's and COCO's files are layouts of their own"
                        .to_owned();
                return Err(ReadError::Row { at, problem });
            }
            Err(error) => return Err(ReadError::Row { at, problem: json::problem(json, &error) }),
        };
        push(&mut table, at, object)?;
    }
    Ok(table)
}

/// A list of objects, as pandas writes records.
pub(super) fn list(file: &Path, text: &str) -> Result<Table, ReadError> {
    let rows: Vec<Object> = json::parse(file, text, r#"[{"image": "…", "caption": "…"}, …]"#)?;
    let mut table = Table::default();
    for (index, object) in rows.into_iter().enumerate() {
        push(&mut table, Location::entry(file, "", index), object)?;
    }
    Ok(table)
}

/// Whether the text is one object over several lines.
fn is_whole_file(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn push(table: &mut Table, at: Location, object: Object) -> Result<(), ReadError> {
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    let refuse = |problem: String| ReadError::Row { at: at.clone(), problem };
    let both = object.contains_key("caption") && object.contains_key("captions");
    if both {
        return Err(refuse(
            "give either `caption`, a sentence, or `captions`, a list of sentences".to_owned(),
        ));
    }
    if names.contains(&"images") {
        let problem =
            "this is a whole dataset in one object; Karpathy's and COCO's files are layouts of their own";
        return Err(refuse(problem.to_owned()));
    }
    let columns = Columns::of(&names)
        .map_err(|problem| refuse(format!("a row with {}", problem.trim_start_matches("it has "))))?;
    for name in columns.unread(&names) {
        if !table.unread.contains(&name) {
            table.unread.push(name);
        }
    }
    let values: Vec<&Value> = object.values().collect();
    let text = |column: usize| match values[column] {
        Value::String(text) => Ok(Some(text.clone())),
        Value::Null => Ok(None),
        other => Err(refuse(format!("`{}` is {}, not a text", names[column], clip(&other.to_string())))),
    };
    let mut captions = Vec::new();
    for &column in &columns.captions {
        let read = serde_json::from_value::<Captions>(values[column].clone());
        let Captions(read) =
            read.map_err(|error| refuse(format!("`{}`: {}", names[column], clip(&error.to_string()))))?;
        captions.extend(read);
    }
    let split = columns.split.map(text).transpose()?.flatten().filter(|split| !split.trim().is_empty());
    let image = text(columns.image)?.unwrap_or_default();
    table.rows.push(Row { at, image, captions, split });
    Ok(())
}
