//! JSON files, read into their types as they come from disk: COCO's are too large to hold as text beside the result.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::LayoutError;

/// Reads `file`; an error names the field that is not as `shape` says.
pub(super) fn read<T: DeserializeOwned>(file: &Path, shape: &'static str) -> Result<T, LayoutError> {
    let failed = |source| LayoutError::Io { path: file.to_owned(), source };
    let reader = BufReader::with_capacity(1 << 20, File::open(file).map_err(failed)?);
    let mut parser = serde_json::Deserializer::from_reader(reader);
    let malformed = |field: String, source: serde_json::Error| {
        if source.is_io() {
            return failed(source.into());
        }
        LayoutError::JsonFile { file: file.to_owned(), field, source, shape }
    };
    let value = serde_path_to_error::deserialize(&mut parser)
        .map_err(|error| malformed(error.path().to_string(), error.into_inner()))?;
    parser.end().map_err(|error| malformed(".".to_owned(), error))?;
    Ok(value)
}
