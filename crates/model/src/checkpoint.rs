//! The checkpoint: one safetensors file with everything that captioning needs to know beside the CNN's weights.
//!
//! Tensors of the decoder, and in the header its architecture, the vocabulary, and what the features must be made
//! with (backbone, its weights' hash, the image transform), so that training and inference cannot see different images.

use std::path::{Path, PathBuf};

use crate::decoder::description::Description;
use crate::decoder::{DecoderConfig, Dimensions};
use crate::grids::Join;
use crate::header;
use crate::weights::{NamedArrays, WeightsError};
use artifacts::features::FeatureSpec;
use artifacts::tensor_file::CHECKPOINT_KEY;
use artifacts::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};

/// File name in the train folder.
pub const FILE: &str = "model.safetensors";
const FORMAT: u32 = 2;

/// What a checkpoint knows beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The decoder's architecture.
    pub decoder: DecoderConfig,
    /// The words it writes.
    pub vocabulary: Vocabulary,
    /// The features it reads; of several sets, the channels side by side.
    pub features: Vec<FeatureSpec>,
    /// Stage, settings and inputs of its training.
    pub provenance: serde_json::Value,
}

impl Header {
    /// What the decoder learns from its data.
    pub fn dimensions(&self) -> Dimensions {
        let join = Join::new(&self.features);
        Dimensions {
            channels: join.channels() as i64,
            regions: join.regions() as i64,
            vocabulary: self.vocabulary.len() as i64,
        }
    }

    /// The decoder that it describes; `path` is where the header was found.
    ///
    /// # Errors
    ///
    /// Sizes that make no network.
    pub fn describe(&self, path: &Path) -> Result<Description, CheckpointError> {
        if let Some(problem) = self.decoder.problem() {
            let reason = format!("its decoder's {problem}");
            return Err(CheckpointError::Header { path: path.to_owned(), reason });
        }
        Ok(self.decoder.describe(self.dimensions()))
    }
}

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file is damaged or does not hold the network that its header describes.
    #[error("checkpoint {0}")]
    File(#[from] WeightsError),
    /// A safetensors file, but not one of ours, or of another version.
    #[error("{} is no checkpoint of this program: {reason}", path.display())]
    Header {
        /// Path of what cannot be used.
        path: PathBuf,
        /// The first fault found, in words.
        reason: String,
    },
    /// Checkpoints that write other words or read other features cannot be averaged.
    #[error(
        "{} and {} make no ensemble, their {what} differ: train them on the same text and features",
        first.display(),
        other.display()
    )]
    Ensemble {
        /// The first checkpoint.
        first: PathBuf,
        /// The one that does not fit.
        other: PathBuf,
        /// `vocabularies` or `features`, for the message.
        what: &'static str,
    },
    /// No checkpoint was named.
    #[error("an ensemble needs at least one checkpoint")]
    NoMembers,
}

/// The header entry of a checkpoint, as key and value.
///
/// # Errors
///
/// Numbers that JSON does not have.
pub fn entry(header: &Header) -> serde_json::Result<(String, String)> {
    Ok((CHECKPOINT_KEY.to_owned(), header::text(FORMAT, header)?))
}

/// The header of a checkpoint that was read.
///
/// # Errors
///
/// When it has none, or that of another version.
pub fn header_of(file: &NamedArrays) -> Result<Header, CheckpointError> {
    header::parse(file, CHECKPOINT_KEY, FORMAT)
        .map_err(|reason| CheckpointError::Header { path: file.path().to_owned(), reason })
}

/// One decoder, or several that write together.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// Of the first: vocabulary and features are those of all, architecture and provenance only its own.
    pub header: Header,
    /// The network.
    pub description: Description,
    /// What the description names.
    pub parameters: NamedArrays,
}

impl Assembled {
    /// Joins the decoders of some files, each with its header.
    ///
    /// # Errors
    ///
    /// No file, sizes that make no network, or decoders that write other words or read other features than the first.
    pub fn new(decoders: &[(Header, NamedArrays)]) -> Result<Assembled, CheckpointError> {
        let describe = |(header, file): &(Header, NamedArrays)| {
            let description = header.describe(file.path())?;
            description.check(file)?;
            Ok(description)
        };
        let mut descriptions = decoders.iter().map(describe).collect::<Result<Vec<_>, CheckpointError>>()?;
        let header = in_common(decoders.iter().map(|(header, file)| (file.path(), header)))?.clone();
        if let ([(_, file)], Some(description)) = (decoders, descriptions.pop_if(|_| decoders.len() == 1)) {
            return Ok(Assembled { header, description, parameters: file.clone() });
        }
        let named = decoders.iter().enumerate().flat_map(|(number, (_, file))| {
            file.arrays().iter().map(move |(name, array)| (format!("{number}.{name}"), array.clone()))
        });
        let path = decoders.first().map(|(_, file)| file.path().to_owned()).unwrap_or_default();
        let parameters = NamedArrays::new(path, named.collect());
        Ok(Assembled { header, description: Description::ensemble(&descriptions), parameters })
    }
}

/// The first of the headers of some files, whose vocabulary and features must be those of all.
///
/// # Errors
///
/// No file, or files that write other words or read other features.
pub fn in_common<'a>(
    mut headers: impl Iterator<Item = (&'a Path, &'a Header)>,
) -> Result<&'a Header, CheckpointError> {
    let (first, common) = headers.next().ok_or(CheckpointError::NoMembers)?;
    for (other, header) in headers {
        let differences = [
            ("vocabularies", header.vocabulary != common.vocabulary),
            ("features", header.features != common.features),
        ];
        if let Some(&(what, _)) = differences.iter().find(|(_, differ)| *differ) {
            let (first, other) = (first.to_owned(), other.to_owned());
            return Err(CheckpointError::Ensemble { first, other, what });
        }
    }
    Ok(common)
}
