//! What a file or a folder knows of itself, as JSON: artifacts of ours, Parquet and safetensors of anyone.

mod kind;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::layout::is_unfinished;
use crate::manifest::{self, Manifest, ManifestError};
use crate::table::{self, KIND_KEY, TableError};
use crate::tensor_file::{
    CAPTIONER_KEY, CHECKPOINT_KEY, TRAINING_STATE_KEY, TUNED_KEY, TensorFileError, TensorHeader,
};
use kind::Kind;

/// Of a longer list, only the beginning is shown.
const LONGEST_LIST: usize = 12;
const SHOWN: usize = 8;
/// Enough of a file to know its format.
const BEGINNING: u64 = 64;

/// Nothing can be said of it.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The format is known, and what follows it is damaged.
    #[error("{} is damaged {format}: {reason}", path.display())]
    Damaged {
        /// Path of what cannot be read.
        path: PathBuf,
        /// What it begins as.
        format: &'static str,
        /// The first fault found, in words.
        reason: String,
    },
    /// A file of another kind.
    #[error("{} is {kind}, neither Parquet, safetensors, JSON nor an artifact folder", path.display())]
    Other {
        /// Path of what cannot be read.
        path: PathBuf,
        /// What it is, as far as its first bytes tell.
        kind: &'static str,
    },
    /// A manifest that cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// Describes the file or folder at `path`.
///
/// # Errors
///
/// When it cannot be read, is damaged, or is of a kind that holds nothing of ours.
pub fn describe(path: &Path) -> Result<Value, ShowError> {
    if path.is_dir() {
        return folder(path);
    }
    match kind_of(path)? {
        Kind::Parquet => parquet(path),
        Kind::Safetensors => safetensors(path),
        Kind::Json => json_file(path),
        Kind::Other(kind) => Err(ShowError::Other { path: path.to_owned(), kind }),
    }
}

fn io(path: &Path, source: std::io::Error) -> ShowError {
    ShowError::Io { path: path.to_owned(), source }
}

fn kind_of(path: &Path) -> Result<Kind, ShowError> {
    let mut beginning = Vec::new();
    let file = File::open(path).map_err(|source| io(path, source))?;
    file.take(BEGINNING).read_to_end(&mut beginning).map_err(|source| io(path, source))?;
    Ok(Kind::of(&beginning))
}

fn parquet(path: &Path) -> Result<Value, ShowError> {
    let damaged = |error: TableError| match error {
        TableError::Io { path, source } => ShowError::Io { path, source },
        TableError::Write { path, reason } | TableError::Malformed { path, reason, .. } => {
            ShowError::Damaged { path, format: "Parquet", reason }
        }
        TableError::Promised(error) => error.into(),
    };
    let entries = table::read_metadata(path).map_err(damaged)?;
    let columns = table::columns(path).map_err(damaged)?;
    let columns: Vec<Value> =
        columns.into_iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
    Ok(json!({
        "kind": "Parquet table",
        "holds": entries.get(KIND_KEY),
        "rows": table::row_count(path).map_err(damaged)?,
        "columns": columns,
        "footer": readable(entries),
    }))
}

fn safetensors(path: &Path) -> Result<Value, ShowError> {
    let header = TensorHeader::read(path).map_err(|error| match error {
        TensorFileError::Io { path, source } => ShowError::Io { path, source },
        TensorFileError::Malformed { path, reason } => {
            ShowError::Damaged { path, format: "safetensors", reason }
        }
    })?;
    let kinds = [
        (CAPTIONER_KEY, "captioner: decoders, backbones and all that captions need"),
        (CHECKPOINT_KEY, "checkpoint of a decoder"),
        (TUNED_KEY, "tuned weights of a backbone"),
        (TRAINING_STATE_KEY, "state of a training that can be resumed"),
    ];
    let kind = kinds.iter().find(|(key, _)| header.entries.contains_key(*key));
    let mut dtypes = Map::new();
    for tensor in header.tensors.values() {
        let count = dtypes.get(&tensor.dtype).and_then(Value::as_u64).unwrap_or(0);
        dtypes.insert(tensor.dtype.clone(), json!(count + 1));
    }
    let tensors = header
        .tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), json!(format!("{} {:?}", tensor.dtype, tensor.shape))));
    Ok(json!({
        "kind": kind.map_or("safetensors file", |(_, kind)| kind),
        "numbers": header.tensors.values().map(|tensor| tensor.elements()).sum::<usize>(),
        "tensors_of_type": dtypes,
        "tensors": tensors.collect::<Map<_, _>>(),
        "header": readable(header.entries),
    }))
}

fn json_file(path: &Path) -> Result<Value, ShowError> {
    let bytes = std::fs::read(path).map_err(|source| io(path, source))?;
    let content: Value = serde_json::from_slice(&bytes).map_err(|error| ShowError::Damaged {
        path: path.to_owned(),
        format: "JSON",
        reason: error.to_string(),
    })?;
    let entries = content.as_array().map(Vec::len).or_else(|| Some(content.as_object()?.len()));
    Ok(json!({ "kind": "JSON file", "entries": entries, "content": shortened(content) }))
}

fn folder(path: &Path) -> Result<Value, ShowError> {
    if manifest::is_in(path) {
        let manifest = serde_json::to_value(Manifest::read(path)?).unwrap_or_default();
        return Ok(json!({ "kind": "artifact folder", "manifest": manifest }));
    }
    let artifacts = artifact_folders(path)?;
    if artifacts.is_empty() {
        return Ok(json!({ "kind": "folder", "entries": listing(path)? }));
    }
    let artifacts = artifacts.iter().map(|folder| {
        let manifest = Manifest::read(folder)?;
        Ok(json!({
            "folder": folder.strip_prefix(path).unwrap_or(folder),
            "stage": manifest.recipe.stage,
            "bytes": manifest.outputs.iter().map(|output| output.bytes).sum::<u64>(),
            "seconds": manifest.seconds,
            "warnings": manifest.warnings.len(),
            "summary": manifest.summary,
        }))
    });
    let artifacts = artifacts.collect::<Result<Vec<Value>, ManifestError>>()?;
    Ok(json!({ "kind": "folder of artifacts", "artifacts": artifacts }))
}

/// Every folder below `path` that holds a manifest, in name order.
///
/// # Errors
///
/// When a folder cannot be read.
pub fn artifact_folders(path: &Path) -> Result<Vec<PathBuf>, ShowError> {
    let mut found = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        if manifest::is_in(&folder) {
            found.push(folder.clone());
        }
        for entry in std::fs::read_dir(&folder).map_err(|source| io(&folder, source))? {
            let entry = entry.map_err(|source| io(&folder, source))?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !is_unfinished(&entry.path()) {
                open.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What lies in a folder, in name order.
fn listing(path: &Path) -> Result<Vec<Value>, ShowError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|source| io(path, source))? {
        paths.push(entry.map_err(|source| io(path, source))?.path());
    }
    paths.sort();
    let describe = |path: &PathBuf| {
        let kind = if path.is_dir() { "a folder" } else { kind_of(path).map_or("unreadable", Kind::name) };
        let bytes = std::fs::metadata(path).ok().filter(|metadata| metadata.is_file());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        json!({ "name": name, "kind": kind, "bytes": bytes.map(|metadata| metadata.len()) })
    };
    Ok(paths.iter().map(describe).collect())
}

/// Text entries, those that hold JSON as what they hold.
fn readable(entries: impl IntoIterator<Item = (String, String)>) -> Value {
    let parsed = entries.into_iter().map(|(key, text)| {
        let value = serde_json::from_str::<Value>(&text).ok().filter(|value| !value.is_number());
        (key, shortened(value.unwrap_or(Value::String(text))))
    });
    Value::Object(parsed.collect())
}

/// The same with long lists cut: a vocabulary says how many words it has.
fn shortened(value: Value) -> Value {
    match value {
        Value::Array(list) if list.len() > LONGEST_LIST => {
            let all = list.len();
            let mut first: Vec<Value> = list.into_iter().take(SHOWN).map(shortened).collect();
            first.push(Value::String(format!("… {all} in all")));
            Value::Array(first)
        }
        Value::Array(list) => list.into_iter().map(shortened).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, shortened(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captions::CaptionRow;
    use crate::recipe::Recipe;

    fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn safetensors_file(header: &Value, numbers: usize) -> Vec<u8> {
        let text = header.to_string();
        [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &vec![0; numbers]].concat()
    }

    #[test]
    fn a_tensor_file_shows_its_tensors_and_what_its_header_holds() {
        let folder = tempfile::tempdir().unwrap();
        let words: Vec<String> = (0..2000).map(|word| format!("word{word}")).collect();
        let entry = json!({ "format": 2, "vocabulary": { "words": words } }).to_string();
        let header = json!({
            "__metadata__": { CHECKPOINT_KEY: entry, "source": "resnet18-f37072fd.pth" },
            "a.weight": { "dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24] },
            "count": { "dtype": "I64", "shape": [], "data_offsets": [24, 32] },
        });
        let path = file(folder.path(), "model.safetensors", &safetensors_file(&header, 32));
        let shown = describe(&path).unwrap();
        assert_eq!(shown["kind"], "checkpoint of a decoder");
        assert_eq!(shown["numbers"], 7);
        assert_eq!(shown["tensors"], json!({ "a.weight": "F32 [2, 3]", "count": "I64 []" }));
        assert_eq!(shown["tensors_of_type"], json!({ "F32": 1, "I64": 1 }));
        assert_eq!(shown["header"]["source"], "resnet18-f37072fd.pth");
        let words = shown["header"][CHECKPOINT_KEY]["vocabulary"]["words"].as_array().unwrap();
        assert_eq!((words.len(), words[SHOWN].as_str()), (SHOWN + 1, Some("… 2000 in all")));
        let cut = file(folder.path(), "cut.safetensors", &safetensors_file(&header, 31));
        let message = describe(&cut).unwrap_err().to_string();
        assert!(message.contains("cut.safetensors is damaged safetensors: it should have"), "{message}");
    }

    #[test]
    fn a_table_shows_its_columns_and_rows_and_a_cut_one_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.parquet");
        let row = CaptionRow { image_id: "1".to_owned(), caption_id: 0, caption: "a dog".to_owned() };
        table::write(&path, &[row], &Recipe::new("dataset", 1, &"settings").unwrap(), &[]).unwrap();
        let shown = describe(&path).unwrap();
        assert_eq!((&shown["holds"], &shown["rows"]), (&json!("captions"), &json!(1)));
        assert_eq!(shown["columns"][2], json!({ "name": "caption", "type": "Utf8" }));
        assert_eq!(shown["footer"]["captioning.provenance"]["stage"], "dataset");
        let bytes = std::fs::read(&path).unwrap();
        let cut = file(folder.path(), "cut.parquet", &bytes[..bytes.len() / 2]);
        let message = describe(&cut).unwrap_err().to_string();
        assert!(message.contains("cut.parquet is damaged Parquet"), "{message}");
    }

    #[test]
    fn other_files_are_named_for_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let message =
            |name: &str, bytes: &[u8]| describe(&file(folder.path(), name, bytes)).unwrap_err().to_string();
        let photo = message("photo.parquet", b"\xff\xd8\xff\xe0 and so on");
        assert!(
            photo.ends_with("is a JPEG image, neither Parquet, safetensors, JSON nor an artifact folder")
        );
        assert!(message("empty.json", b"").contains("is an empty file"));
        assert!(message("notes", b"some words").contains("is text"));
        assert!(message("noise", &[0, 159, 146, 150, 1, 2, 3]).contains("is a file of an unknown format"));
        assert!(message("half.json", b"{\"a\": ").contains("is damaged JSON"));
        assert!(describe(&folder.path().join("nowhere")).unwrap_err().to_string().contains("nowhere: "));
        let shown = describe(folder.path()).unwrap();
        assert_eq!(shown["kind"], "folder");
        assert_eq!(shown["entries"][3], json!({ "name": "notes", "kind": "text", "bytes": 10 }));
    }
}
