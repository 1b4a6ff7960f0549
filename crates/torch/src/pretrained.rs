//! Decoders to go on from: that of a checkpoint, or those of a captioner.
//!
//! A new decoder of the same kind and sizes starts from what one of them has learnt, whatever words it is to write: what is
//! known of a word goes to the word of the same spelling.

use std::path::{Path, PathBuf};

use artifacts::features::FeatureSpec;
use artifacts::recipe;
use model::captioner_file::{CaptionerError, CaptionerFile};
use model::checkpoint::{self, CheckpointError, Header};
use model::decoder::DecoderConfig;
use model::weights::{NamedArrays, WeightsError};
use tch::TchError;
use tch::nn::VarStore;

use crate::decoder::{self, BuildError, Decoder, WarmStart};
use crate::precision::Precision;
use crate::weights::NamedTensors;

/// The decoders of a file.
pub struct Pretrained {
    path: PathBuf,
    hash: String,
    decoders: Vec<(Header, NamedTensors)>,
}

/// One of them, of the kind and sizes that were asked for.
pub struct PretrainedDecoder<'a> {
    path: &'a Path,
    header: &'a Header,
    tensors: &'a NamedTensors,
}

/// Why there is nothing to go on from.
#[derive(Debug, thiserror::Error)]
pub enum PretrainedError {
    /// The file cannot be read, or its tensors are not those that its header describes.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// No checkpoint, or one of another version.
    #[error(transparent)]
    Checkpoint(#[from] Box<CheckpointError>),
    /// A captioner of another version.
    #[error(transparent)]
    Captioner(#[from] Box<CaptionerError>),
    /// A captioner without any decoder.
    #[error("{} holds no decoder", .0.display())]
    Empty(PathBuf),
    /// Decoders of other kinds only.
    #[error("{} holds no {wanted}, only {found}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The kind that is to be trained.
        wanted: &'static str,
        /// The kinds that are there.
        found: String,
    },
    /// A decoder of other sizes.
    #[error("{}: its {kind} has {key} = {there}, not {here}: set {kind}.{key} to {there}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// The decoder's kind.
        kind: &'static str,
        /// The size that differs.
        key: String,
        /// Its value in the settings.
        here: i64,
        /// Its value in the file.
        there: i64,
    },
    /// A decoder that reads features of another shape.
    #[error("{}: its {kind} reads {there}, not {here}: take the features that it was trained on", path.display())]
    Features {
        /// The file.
        path: PathBuf,
        /// The decoder's kind.
        kind: &'static str,
        /// What it should read: so many channels or regions, and of which sets.
        here: String,
        /// What it reads.
        there: String,
    },
    /// libtorch refused to draw a parameter.
    #[error("cannot set up the decoder: {0}")]
    Torch(#[from] TchError),
}

impl Pretrained {
    /// Reads a checkpoint of `train` or a captioner of `export`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is damaged, or is neither.
    pub fn read(path: &Path) -> Result<Pretrained, PretrainedError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.into(), source })?;
        let hash = recipe::digest(&bytes);
        let file = NamedArrays::from_bytes(path, bytes)?;
        let decoders: Vec<(Header, NamedArrays)> = if CaptionerFile::is_in(&file) {
            CaptionerFile::from_arrays(file).map_err(Box::new)?.decoders().collect()
        } else {
            vec![(checkpoint::header_of(&file).map_err(Box::new)?, file)]
        };
        let tensors = |(header, file)| Ok((header, NamedTensors::of(&file)?));
        let decoders = decoders.into_iter().map(tensors).collect::<Result<_, WeightsError>>()?;
        Ok(Pretrained { path: path.to_owned(), hash, decoders })
    }

    /// Content hash of the file, as recipes have it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its first decoder, whatever kind it is.
    ///
    /// # Errors
    ///
    /// When it holds none.
    pub fn first(&self) -> Result<PretrainedDecoder<'_>, PretrainedError> {
        let none = || PretrainedError::Empty(self.path.clone());
        let (header, tensors) = self.decoders.first().ok_or_else(none)?;
        Ok(PretrainedDecoder { path: &self.path, header, tensors })
    }

    /// The decoder of the kind and the sizes of `config`.
    ///
    /// # Errors
    ///
    /// When there is none of the kind, or it has another size.
    pub fn decoder(&self, config: &DecoderConfig) -> Result<PretrainedDecoder<'_>, PretrainedError> {
        let (path, kind) = (&self.path, config.kind().as_str());
        let found = self.decoders.iter().find(|(header, _)| header.decoder.kind() == config.kind());
        let Some((header, tensors)) = found else {
            let kinds = self.decoders.iter().map(|(header, _)| header.decoder.kind().as_str());
            let found = kinds.collect::<Vec<_>>().join(", ");
            return Err(PretrainedError::Kind { path: path.clone(), wanted: kind, found });
        };
        if let Some((key, here, there)) = config.differing_size(&header.decoder) {
            return Err(PretrainedError::Size { path: path.clone(), kind, key, here, there });
        }
        Ok(PretrainedDecoder { path, header, tensors })
    }
}

impl<'a> PretrainedDecoder<'a> {
    /// Which network it is.
    pub fn config(&self) -> &'a DecoderConfig {
        &self.header.decoder
    }

    /// The features that it was trained on.
    pub fn features(&self) -> &'a [FeatureSpec] {
        &self.header.features
    }

    /// Refuses features with another number of channels than it was trained on; `sets` names them in the message.
    ///
    /// # Errors
    ///
    /// When the numbers differ.
    pub fn check_channels(&self, channels: i64, sets: &[String]) -> Result<(), PretrainedError> {
        let there = self.header.dimensions().channels;
        if channels == there { Ok(()) } else { Err(self.other("channels", channels, there, sets)) }
    }

    /// Builds the decoder of `header` in `store` from what this one has learnt: parameters as they are, and what it knows of
    /// each word that both write. All else is drawn anew. Returns the decoder, and how many words it was.
    ///
    /// # Errors
    ///
    /// When the features of `header` have other channels, or other regions and the decoder parameters for each; when a
    /// parameter is absent or of another shape; when libtorch refuses.
    pub fn build(
        &self,
        store: &VarStore,
        header: &Header,
        precision: Precision,
    ) -> Result<(Box<dyn Decoder>, usize), PretrainedError> {
        let sets = set_names(header);
        let (here, there) = (header.dimensions(), self.header.dimensions());
        self.check_channels(here.channels, &sets)?;
        let start = WarmStart::new(self.tensors, &self.header.vocabulary, &header.vocabulary);
        let decoder = decoder::build(&header.decoder, (&store.root(), &start), here, precision);
        let decoder = decoder.map_err(|error| match error {
            // Sizes and channels are equal and words have been matched: nothing else is left that shapes a parameter.
            BuildError::Given(WeightsError::Shape { .. }) if here.regions != there.regions => {
                self.other("regions", here.regions, there.regions, &sets)
            }
            BuildError::Given(error) => error.into(),
            BuildError::Torch(error) => error.into(),
        })?;
        Ok((decoder, start.words()))
    }

    fn other(&self, what: &str, here: i64, there: i64, sets: &[String]) -> PretrainedError {
        let said = |count: i64, sets: &[String]| format!("{count} {what} of {}", sets.join("+"));
        PretrainedError::Features {
            path: self.path.to_owned(),
            kind: self.header.decoder.kind().as_str(),
            here: said(here, sets),
            there: said(there, &set_names(self.header)),
        }
    }
}

fn set_names(header: &Header) -> Vec<String> {
    header.features.iter().map(|spec| spec.name()).collect()
}
