//! Safetensors files as far as they can be known without a tensor: their header entries, and what stands under which name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::tensor::Metadata;
use serde::Serialize;

/// Header entry of a checkpoint, which `train` writes.
pub const CHECKPOINT_KEY: &str = "captioning.checkpoint";
/// Header entry of a captioner, which `export` writes: everything that captions need.
pub const CAPTIONER_KEY: &str = "captioning.captioner";
/// Header entry of a backbone's weights that `tune` writes.
pub const TUNED_KEY: &str = "captioning.tuned";
/// Header entry of a training that can be resumed.
pub const TRAINING_STATE_KEY: &str = "captioning.training_state";

/// What to do about a damaged file with these header entries: what makes it again.
pub fn remedy<'a>(mut keys: impl Iterator<Item = &'a str>) -> &'static str {
    let remedies = [
        (CHECKPOINT_KEY, "delete it and run train again"),
        (CAPTIONER_KEY, "export it again"),
        (TUNED_KEY, "delete it and run tune again"),
        (TRAINING_STATE_KEY, "delete it to train from the first epoch on"),
    ];
    let known = keys.find_map(|key| remedies.iter().find(|(known, _)| *known == key));
    known.map_or("delete it and fetch it again", |(_, remedy)| remedy)
}

/// The header says its own length in so many bytes, before anything else.
const LENGTH: u64 = 8;
/// No header of safetensors is longer.
const LONGEST: u64 = 100_000_000;

/// What a safetensors file says of itself before its numbers begin.
#[derive(Debug)]
pub struct TensorHeader {
    /// The entries of `__metadata__`.
    pub entries: BTreeMap<String, String>,
    /// Tensors in the order of their names.
    pub tensors: BTreeMap<String, TensorInfo>,
}

/// A tensor without its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorInfo {
    /// Element type, as safetensors spells it: `F32`.
    pub dtype: String,
    /// Sizes of its dimensions.
    pub shape: Vec<usize>,
}

impl TensorInfo {
    /// The product of its sizes.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// A file without a usable header.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of what cannot be read.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// Not safetensors, or cut short.
    #[error("{} is damaged safetensors: {reason}", path.display())]
    Malformed {
        /// Path of what cannot be read.
        path: PathBuf,
        /// The first fault found, in words.
        reason: String,
    },
}

impl TensorHeader {
    /// Reads the header of a safetensors file, and checks that the numbers which it announces are there.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is cut short, or is no safetensors.
    pub fn read(path: &Path) -> Result<TensorHeader, TensorFileError> {
        let failed = |source| TensorFileError::Io { path: path.to_owned(), source };
        let malformed = |reason: String| TensorFileError::Malformed { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut length = [0; LENGTH as usize];
        file.read_exact(&mut length).map_err(failed)?;
        let length = u64::from_le_bytes(length);
        if length > LONGEST.min(bytes.saturating_sub(LENGTH)) {
            return Err(malformed("its header is longer than the file".to_owned()));
        }
        let mut header = Vec::new();
        file.take(length).read_to_end(&mut header).map_err(failed)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| malformed(error.to_string()))?;
        let end = metadata.tensors().values().map(|info| info.data_offsets.1).max().unwrap_or(0) as u64;
        let wanted = LENGTH.saturating_add(length).saturating_add(end);
        if wanted != bytes {
            return Err(malformed(format!("it should have {wanted} bytes and has {bytes}")));
        }
        let tensors = metadata.tensors().into_iter().map(|(name, info)| {
            (name, TensorInfo { dtype: info.dtype.to_string(), shape: info.shape.clone() })
        });
        let entries = metadata.metadata().iter().flatten();
        Ok(TensorHeader {
            tensors: tensors.collect(),
            entries: entries.map(|(key, value)| (key.clone(), value.clone())).collect(),
        })
    }
}
