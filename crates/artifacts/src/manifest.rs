//! `manifest.json`, in feature folders `_manifest.json`: the last file a stage writes, the proof that its artifact is complete, and the promise of its bytes.
//!
//! It carries a checksum of itself ([`seal`]) and the hashes of all other files. [`read_promised`] is how the small ones
//! are read: what comes back is what the stage wrote, or an error.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model_id::ModelId;
use crate::recipe::{Recipe, digest};
use crate::{atomic, layout, seal};

/// Its name in the folder of an artifact.
pub const FILE: &str = "manifest.json";
/// Its name among the parts of a feature set: who opens the folder as one table passes over names that begin so.
pub const FILE_AMONG_PARTS: &str = "_manifest.json";

/// Where the manifest of an artifact folder lies, or would lie if it had one.
pub fn path(folder: &Path) -> PathBuf {
    let among_parts = folder.join(FILE_AMONG_PARTS);
    if among_parts.is_file() { among_parts } else { folder.join(FILE) }
}

/// Whether a folder has a manifest, so that its artifact is finished.
pub fn is_in(folder: &Path) -> bool {
    path(folder).is_file()
}

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
        /// Path of the manifest.
        path: PathBuf,
        /// What the parser or the system said.
        reason: String,
    },
    /// A file of the artifact cannot be read, or the manifest not written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of what cannot be read.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A file is not the one that the stage wrote.
    #[error(
        "{} is damaged, its content is not what the stage `{stage}` wrote: delete it and run `{stage}` again",
        path.display()
    )]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// The stage that makes it.
        stage: String,
    },
    /// The artifact does not hold the file asked for.
    #[error("{} does not list {file}: run the stage again with --force", folder.display())]
    NoOutput {
        /// Folder whose manifest was read.
        folder: PathBuf,
        /// The file that was asked for.
        file: String,
    },
}

impl Manifest {
    /// Writes the manifest of an artifact folder, which declares the artifact complete.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn write(&self, folder: &Path) -> Result<(), ManifestError> {
        let among_parts = self.outputs.iter().any(|output| layout::is_part(&output.file));
        let (name, other) = if among_parts { (FILE_AMONG_PARTS, FILE) } else { (FILE, FILE_AMONG_PARTS) };
        let path = folder.join(name);
        let written = self.sealed().and_then(|json| atomic::write(&path, |file| file.write_all(&json)));
        written.map_err(|source| ManifestError::Io { path, source })?;
        match std::fs::remove_file(folder.join(other)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(ManifestError::Io { path: folder.join(other), source: error })
            }
            _ => Ok(()),
        }
    }

    /// The content of the file, with its checksum.
    ///
    /// # Errors
    /// A recipe that has no form in JSON.
    pub fn sealed(&self) -> std::io::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Sealed<'a> {
            checksum: String,
            #[serde(flatten)]
            manifest: &'a Manifest,
        }
        let mut json = serde_json::to_vec_pretty(&Sealed { checksum: seal::open(), manifest: self })?;
        json.push(b'\n');
        seal::seal(&mut json);
        Ok(json)
    }

    /// Reads the manifest of an artifact folder.
    ///
    /// # Errors
    ///
    /// The artifact is not finished, or its manifest is not one.
    pub fn read(folder: &Path) -> Result<Manifest, ManifestError> {
        let path = path(folder);
        let unreadable = |reason: String| ManifestError::Unreadable { path: path.clone(), reason };
        match std::fs::read(&path) {
            Ok(bytes) => Manifest::parse(&path, &bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(ManifestError::Missing(folder.to_owned()))
            }
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// The manifest that the content of a file is; `path` only serves the error message.
    ///
    /// # Errors
    /// It is none, or damaged.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let unreadable = |reason: String| ManifestError::Unreadable { path: path.to_owned(), reason };
        seal::check(bytes, bytes.len()).map_err(|broken| unreadable(broken.to_string()))?;
        serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))
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

    /// Of a dataset: whether its images are the built-in drawn scenes.
    pub fn is_of_scenes(&self) -> bool {
        self.recipe.settings["layout"] == "scenes"
    }

    /// The first output that is missing or has another size than recorded; cheap, reads no content.
    pub fn damaged_output(&self, folder: &Path) -> Option<&Output> {
        self.outputs.iter().find(|output| {
            let size = std::fs::metadata(folder.join(&output.file)).map(|metadata| metadata.len());
            size.ok() != Some(output.bytes)
        })
    }
}

/// The bytes of a file, compared with what the manifest beside it promises. A file that no manifest lists is read as it is.
///
/// # Errors
///
/// The file cannot be read, is not the one that its stage wrote, or the manifest beside it is damaged.
pub fn read_promised(path: &Path) -> Result<Vec<u8>, ManifestError> {
    let bytes = std::fs::read(path).map_err(|source| ManifestError::Io { path: path.to_owned(), source })?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(bytes) };
    let manifest = match Manifest::read(folder) {
        Err(ManifestError::Missing(_)) => return Ok(bytes),
        manifest => manifest?,
    };
    let promise = manifest.outputs.iter().find(|output| output.file.as_str() == name);
    if promise.is_some_and(|output| output.hash != digest(&bytes)) {
        return Err(ManifestError::Damaged { path: path.to_owned(), stage: manifest.recipe.stage });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(file: &str) -> Manifest {
        let recipe = Recipe::new("stage", 1, &"settings").unwrap();
        let output = Output { file: file.to_owned(), bytes: 0, rows: None, hash: String::new() };
        Manifest {
            fingerprint: recipe.fingerprint(),
            recipe,
            model: None,
            outputs: vec![output],
            warnings: vec![],
            summary: Default::default(),
            seconds: 0.0,
        }
    }

    /// What lies in a folder.
    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_manifest_hides_among_parts_and_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_in(folder.path()));
        manifest("tokens.parquet").write(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["manifest.json"]);
        manifest("part-00000-12345678.parquet").write(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["_manifest.json"]);
        assert!(is_in(folder.path()));
        assert_eq!(
            Manifest::read(folder.path()).unwrap().outputs,
            manifest("part-00000-12345678.parquet").outputs
        );
    }
}
