//! Rows as JSON objects, one per line or all in a list, and captions by their image in a single object.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::columns::{self, Columns};
use super::{Row, Table};
use crate::{Captions, Id, Location, ReadError, clip, json, text};

const LIST: &str = r#"[{"image": "…", "caption": "…"}, …]"#;
const BY_IMAGE: &str = r#"{"IMAGE": ["…", "…"], …}"#;
/// Keys of files that are more than a table.
const WHOLE: [&str; 2] = ["images", "annotations"];

type Object = Map<String, Value>;

/// Whether the text is one object, over however many lines.
pub(super) fn is_one_object(text: &str) -> bool {
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    objects.next().is_some_and(|first| first.is_ok()) && text[objects.byte_offset()..].trim().is_empty()
}

/// A single row, all rows under one key such as `data`, or the captions of all images by their names.
pub(super) fn object(file: &Path, text: &str) -> Result<Table, ReadError> {
    let keys: BTreeMap<String, IgnoredAny> = json::parse(file, text, BY_IMAGE)?;
    let mut table = Table::default();
    if keys.keys().any(|key| WHOLE.contains(&key.as_str()) || columns::is_known(key)) {
        push(&mut table, Location::new(file, 1), json::parse(file, text, LIST)?)?;
        return Ok(table);
    }
    if keys.len() == 1
        && let Ok(wrapped) = serde_json::from_str::<BTreeMap<String, Vec<Object>>>(text)
        && let Some(list) = wrapped.into_values().next().filter(|list| list.first().is_some_and(is_row))
    {
        return rows(file, list);
    }
    let ByImage(images) = json::parse(file, text, BY_IMAGE)?;
    for (index, (image, Captions(captions))) in images.into_iter().enumerate() {
        table.rows.push(Row { at: Location::entry(file, "", index), image, captions, split: None });
    }
    Ok(table)
}

/// One object per line.
pub(super) fn lines(file: &Path, text: &str) -> Result<Table, ReadError> {
    let mut table = Table::default();
    for (line, json) in text::lines(text) {
        let at = Location::new(file, line);
        match serde_json::from_str::<Object>(json) {
            Ok(object) => push(&mut table, at, object)?,
            Err(error) => return Err(ReadError::Row { at, problem: json::problem(json, &error) }),
        }
    }
    Ok(table)
}

/// A list of objects, as pandas writes records.
pub(super) fn list(file: &Path, text: &str) -> Result<Table, ReadError> {
    rows(file, json::parse(file, text, LIST)?)
}

/// Whether an object names an image and a caption.
fn is_row(object: &Object) -> bool {
    Columns::of(&object.keys().map(String::as_str).collect::<Vec<_>>()).is_ok()
}

fn rows(file: &Path, list: Vec<Object>) -> Result<Table, ReadError> {
    let mut table = Table::default();
    for (index, object) in list.into_iter().enumerate() {
        push(&mut table, Location::entry(file, "", index), object)?;
    }
    Ok(table)
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
    if WHOLE.iter().any(|key| object.contains_key(*key)) {
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
    let no_text = |column: usize, what: &str| {
        refuse(format!("`{}` is {}, {what}", names[column], clip(&values[column].to_string())))
    };
    let image = match values[columns.image] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        // An id.
        Value::Number(number) => Id::deserialize(number)
            .map_err(|error| refuse(format!("`{}`: {error}", names[columns.image])))?
            .to_string(),
        Value::Array(_) | Value::Object(_) => {
            let problem = "a whole column: bring rows, which pandas' to_json writes with orient=\"records\"";
            return Err(no_text(columns.image, problem));
        }
        Value::Bool(_) => return Err(no_text(columns.image, "not a text")),
    };
    let mut captions = Vec::new();
    for &column in &columns.captions {
        let read = serde_json::from_value::<Captions>(values[column].clone());
        let Captions(read) =
            read.map_err(|error| refuse(format!("`{}`: {}", names[column], clip(&error.to_string()))))?;
        captions.extend(read);
    }
    let split = match columns.split.map(|column| (column, values[column])) {
        Some((_, Value::String(split))) if !split.trim().is_empty() => Some(split.clone()),
        None | Some((_, Value::String(_) | Value::Null)) => None,
        Some((column, _)) => return Err(no_text(column, "not a text")),
    };
    table.rows.push(Row { at, image, captions, split });
    Ok(())
}

/// The entries of an object in their order: none is lost where a key stands twice.
struct ByImage(Vec<(String, Captions)>);

impl<'de> Deserialize<'de> for ByImage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = ByImage;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("captions by the name of their image")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByImage, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(ByImage(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
