//! `manifest.json`: the last file a stage writes, and the proof that its artifact is complete.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model_id::ModelId;
use crate::recipe::{Recipe, digest_file};
use crate::{atomic, table};

/// Name of the manifest in every artifact folder.
pub const FILE: &str = "manifest.json";

/// What a stage did: the recipe, the files it wrote, what it skipped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Hash of `recipe`; equal means up to date.
    pub fingerprint: String,
    /// Stage, settings and inputs.
    pub recipe: Recipe,
    /// Which trained decoder the artifact is, or is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelId>,
    /// The files of the artifact, in name order.
    pub outputs: Vec<Output>,
    /// What was skipped or cut, each with its reason.
    pub warnings: Vec<Warning>,
    /// Counts and scores worth knowing without opening the files.
    pub summary: serde_json::Map<String, serde_json::Value>,
    /// Wall time of the stage in seconds.
    pub seconds: f64,
}

/// One file of an artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Path relative to the artifact folder.
    pub file: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Rows, for Parquet files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// BLAKE3 of the content, as [`crate::recipe::digest_file`] writes it.
    pub hash: String,
}

/// One thing that was skipped or changed on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// The image, file or row.
    pub subject: String,
    /// Why, and what was done.
    pub reason: String,
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The stage that makes this artifact has not finished.
    #[error("{} is not there or not finished: run the stage that writes it (`just pipeline` runs all)", .0.display())]
    Missing(PathBuf),
    /// The file exists but is not a manifest.
    #[error("{} cannot be read ({reason}): delete it and run the stage again", path.display())]
    Unreadable {
        /// Path of `manifest.json`.
        path: PathBuf,
        /// What the parser or the system said.
        reason: String,
    },
    /// An output is not there, or the manifest cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of what cannot be read.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A table among the outputs cannot be read back.
    #[error(transparent)]
    Table(#[from] table::TableError),
    /// The artifact does not hold the file asked for.
    #[error("{} does not list {file}: run the stage again with --force", folder.display())]
    NoOutput {
        /// Folder whose manifest was read.
        folder: PathBuf,
        /// The file that was asked for.
        file: String,
    },
}

impl Output {
    /// What `file` in an artifact folder is now; reads all of it.
    ///
    /// # Errors
    /// When the file is not there or, being a table, is none.
    pub fn of(folder: &Path, file: &str) -> Result<Output, ManifestError> {
        let path = folder.join(file);
        let io = |source| ManifestError::Io { path: path.clone(), source };
        Ok(Output {
            rows: if file.ends_with(".parquet") { Some(table::row_count(&path)?) } else { None },
            bytes: std::fs::metadata(&path).map_err(io)?.len(),
            hash: digest_file(&path).map_err(io)?,
            file: file.to_owned(),
        })
    }
}

impl Manifest {
    /// Writes the manifest of an artifact folder, which declares the artifact complete.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn write(&self, folder: &Path) -> Result<(), ManifestError> {
        let path = folder.join(FILE);
        atomic::write_json(&path, self).map_err(|source| ManifestError::Io { path, source })
    }

    /// Reads the manifest of an artifact folder.
    ///
    /// # Errors
    ///
    /// The artifact is not finished, or its manifest is not one.
    pub fn read(folder: &Path) -> Result<Manifest, ManifestError> {
        let path = folder.join(FILE);
        let unreadable = |reason: String| ManifestError::Unreadable { path: path.clone(), reason };
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ManifestError::Missing(folder.to_owned()))
            }
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// The content hash of one output; `folder` only serves the error message.
    ///
    /// # Errors
    ///
    /// The manifest lists no such file.
    pub fn hash_of(&self, folder: &Path, file: &str) -> Result<String, ManifestError> {
        let output = self.outputs.iter().find(|output| output.file == file);
        output
            .map(|output| output.hash.clone())
            .ok_or_else(|| ManifestError::NoOutput { folder: folder.to_owned(), file: file.to_owned() })
    }

    /// One hash over all outputs, for artifacts of several files.
    pub fn hash_of_all(&self) -> String {
        let lines: Vec<String> =
            self.outputs.iter().map(|output| format!("{} {}\n", output.file, output.hash)).collect();
        crate::recipe::digest(lines.concat().as_bytes())
    }

    /// The first output that is missing or has another size than recorded; cheap, reads no content.
    pub fn damaged_output(&self, folder: &Path) -> Option<&Output> {
        self.outputs.iter().find(|output| {
            let size = std::fs::metadata(folder.join(&output.file)).map(|metadata| metadata.len());
            size.ok() != Some(output.bytes)
        })
    }
}
