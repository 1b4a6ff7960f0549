//! The file that captions anywhere: one safetensors file with the decoders and the backbones, and in its header all else
//! that captions need.
//!
//! Tensors are named `decoders.<n>.<name>` and `backbones.<backbone>.<name>`. The header holds the vocabulary, how the
//! features are made, the search settings, where every decoder comes from and how it scored. Of tuned weights all tensors
//! are there, and what their file says of itself. Equal content gives equal bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifacts::features::FeatureSpec;
use artifacts::tensor_file::{CAPTIONER_KEY, TUNED_KEY};
use artifacts::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use crate::backbone::{Backbone, Placement};
use crate::checkpoint::{self, CheckpointError, Member, Model};
use crate::decoder::DecoderConfig;
use crate::grids::{Extractor, GridError};
use crate::header;
use crate::search::SearchSettings;
use crate::tuned::TunedHeader;
use crate::weights::{self, FetchError, NamedTensors, WeightPlaces, WeightsError};

const FORMAT: u32 = 1;

/// What a captioner knows beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaptionerHeader {
    /// Name of the model, as its evaluation has it.
    pub name: String,
    /// One decoder, or those that write together by the mean of their probabilities.
    pub decoders: Vec<DecoderHeader>,
    /// The words it writes.
    pub vocabulary: Vocabulary,
    /// The features that its decoders read; of several sets, the channels side by side.
    pub features: Vec<FeatureSpec>,
    /// What the files of tuned weights say of themselves, by the names of their backbones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tuned: BTreeMap<String, serde_json::Value>,
    /// How its captions are searched unless told otherwise.
    pub search: SearchSettings,
    /// How it scored and by which protocol, as `scores.json` has it.
    pub scores: serde_json::Value,
}

/// A decoder of a captioner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecoderHeader {
    /// As in the run: `<sets>-<decoder>`.
    pub name: String,
    /// Content hash of its checkpoint.
    pub checkpoint: String,
    /// Which network it is, with its sizes.
    pub decoder: DecoderConfig,
    /// Stage, settings and inputs of its training.
    pub provenance: serde_json::Value,
}

/// A checkpoint that becomes part of a captioner.
#[derive(Clone, Debug)]
pub struct Trained {
    /// As in the run: `<sets>-<decoder>`.
    pub name: String,
    /// Its `model.safetensors`.
    pub path: PathBuf,
    /// Content hash of that file.
    pub hash: String,
}

/// Everything that captions need.
pub struct CaptionerFile {
    /// What is known beside the tensors.
    pub header: CaptionerHeader,
    tensors: NamedTensors,
}

/// Why there is no captioner.
#[derive(Debug, thiserror::Error)]
pub enum CaptionerError {
    /// A safetensors file, but no captioner, or one of another version.
    #[error("{} is no captioner of this program: {reason}; export it again", path.display())]
    Header {
        /// Path of what cannot be used.
        path: PathBuf,
        /// The first fault found, in words.
        reason: String,
    },
    /// A decoder cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The features are not those of a backbone of this program.
    #[error(transparent)]
    Features(#[from] GridError),
    /// The backbone's weights are absent or others.
    #[error(transparent)]
    NoWeights(#[from] FetchError),
    /// The file, or that of a backbone, cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl CaptionerFile {
    /// Packs checkpoints, and the weights that their features were made with, into a captioner called `name`.
    ///
    /// # Errors
    ///
    /// When a checkpoint cannot be read, when several do not fit each other, or when the weights are absent or others than
    /// those of the features.
    pub fn pack(
        name: &str,
        decoders: &[Trained],
        weights: &WeightPlaces,
        search: SearchSettings,
        scores: serde_json::Value,
    ) -> Result<CaptionerFile, CaptionerError> {
        let files: Vec<NamedTensors> =
            decoders.iter().map(|trained| weights::read(&trained.path)).collect::<Result<_, _>>()?;
        let headers: Vec<_> = files.iter().map(checkpoint::header_of).collect::<Result<_, _>>()?;
        let common = checkpoint::in_common(files.iter().map(NamedTensors::path).zip(&headers))?;
        let mut tensors = BTreeMap::new();
        for (number, file) in files.iter().enumerate() {
            add(&mut tensors, &decoder_prefix(number), file);
        }
        let mut tuned = BTreeMap::new();
        for spec in &common.features {
            let file = weights::read(&weights.find(Extractor::backbone_of(spec)?, spec)?)?;
            add(&mut tensors, &backbone_prefix(&spec.backbone), &file);
            if let Some(said) = file.metadata().get(TUNED_KEY) {
                let said = serde_json::from_str(said).map_err(|error| CaptionerError::Header {
                    path: file.path().to_owned(),
                    reason: format!("its header entry {TUNED_KEY}: {error}"),
                })?;
                tuned.insert(spec.backbone.clone(), said);
            }
        }
        let (vocabulary, features) = (common.vocabulary.clone(), common.features.clone());
        let decoders = decoders.iter().zip(headers).map(|(trained, header)| DecoderHeader {
            name: trained.name.clone(),
            checkpoint: trained.hash.clone(),
            decoder: header.decoder,
            provenance: header.provenance,
        });
        let name = name.to_owned();
        let decoders = decoders.collect();
        let header = CaptionerHeader { name, decoders, vocabulary, features, tuned, search, scores };
        Ok(CaptionerFile { header, tensors: NamedTensors::new("", tensors) })
    }

    /// The same in about half the bytes: floating-point numbers are rounded to half precision, except in a tensor that has one
    /// beyond its range. Every reader computes with them in f32 or f64.
    ///
    /// # Errors
    ///
    /// When libtorch refuses.
    pub fn in_halves(self) -> Result<CaptionerFile, CaptionerError> {
        let halved = self.tensors.tensors().iter().map(|(name, tensor)| {
            let half = halved(tensor).map_err(|error| self.tensors.torch_error(name, error))?;
            Ok((name.clone(), half))
        });
        let halved = halved.collect::<Result<BTreeMap<String, Tensor>, WeightsError>>()?;
        Ok(CaptionerFile { tensors: NamedTensors::new(self.tensors.path(), halved), ..self })
    }

    /// Whether some of its numbers are in half precision.
    pub fn holds_halves(&self) -> bool {
        self.tensors.tensors().values().any(|tensor| tensor.kind() == Kind::Half)
    }

    /// Writes it, atomically.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn write(&self, path: &Path) -> Result<(), CaptionerError> {
        let json = header::text(FORMAT, &self.header)
            .map_err(|error| CaptionerError::Header { path: path.to_owned(), reason: error.to_string() })?;
        let entries = BTreeMap::from([(CAPTIONER_KEY.to_owned(), json)]);
        Ok(weights::write_safetensors(path, self.tensors.tensors(), &entries)?)
    }

    /// Whether a file that was read calls itself a captioner.
    pub fn is_in(file: &NamedTensors) -> bool {
        file.metadata().contains_key(CAPTIONER_KEY)
    }

    /// The captioner in a file that was read.
    ///
    /// # Errors
    ///
    /// When the file holds none, or one of another version.
    pub fn from_tensors(file: NamedTensors) -> Result<CaptionerFile, CaptionerError> {
        let refuse = |reason: String| CaptionerError::Header { path: file.path().to_owned(), reason };
        let header: CaptionerHeader = header::parse(&file, CAPTIONER_KEY, FORMAT).map_err(refuse)?;
        if let Some(problem) = header.search.problem() {
            return Err(refuse(problem.within("search").to_string()));
        }
        Ok(CaptionerFile { header, tensors: file })
    }

    /// The decoder, or the ensemble.
    ///
    /// # Errors
    ///
    /// When a tensor is absent or has another shape, or there is no decoder.
    pub fn model(&self, device: Device) -> Result<Model, CaptionerError> {
        let load = |(header, tensors): (checkpoint::Header, NamedTensors)| {
            let (member, _) = Member::load(&header.decoder, header.dimensions(), &tensors, device)?;
            Ok((header, member))
        };
        let loaded = self.decoders().map(load).collect::<Result<Vec<_>, CheckpointError>>()?;
        let (headers, members): (Vec<_>, Vec<Member>) = loaded.into_iter().unzip();
        let header = headers.into_iter().next().ok_or(CheckpointError::NoMembers)?;
        Ok(Model::assemble(header, members, device)?)
    }

    /// Its decoders, each with what a checkpoint of its own would hold; shares their memory.
    pub fn decoders(&self) -> impl Iterator<Item = (checkpoint::Header, NamedTensors)> {
        self.header.decoders.iter().enumerate().map(|(number, of)| {
            let header = checkpoint::Header {
                decoder: of.decoder.clone(),
                vocabulary: self.header.vocabulary.clone(),
                features: self.header.features.clone(),
                provenance: of.provenance.clone(),
            };
            (header, self.tensors.below(&decoder_prefix(number)))
        })
    }

    /// The network that makes features of `spec`, one of the header's.
    ///
    /// # Errors
    ///
    /// When this program makes other features, or a tensor is absent.
    pub fn backbone(
        &self,
        spec: &FeatureSpec,
        placement: impl Into<Placement>,
    ) -> Result<Backbone, CaptionerError> {
        let weights = self.tensors.below(&backbone_prefix(&spec.backbone));
        Ok(Backbone::build(Extractor::backbone_of(spec)?, &weights, placement)?)
    }

    /// The tensors of a backbone, as they were named in its file.
    pub fn weights_of(&self, backbone: &str) -> NamedTensors {
        self.tensors.below(&backbone_prefix(backbone))
    }

    /// What the tuning of a backbone learnt, `None` for published weights.
    ///
    /// # Errors
    ///
    /// When its header is not that of this program.
    pub fn tuned(&self, backbone: &str) -> Result<Option<TunedHeader>, CaptionerError> {
        let said = self.header.tuned.get(backbone);
        let header = said.map(|said| TunedHeader::parse(said.clone())).transpose();
        header.map_err(|reason| CaptionerError::Header { path: self.tensors.path().to_owned(), reason })
    }

    /// Numbers in all tensors whose names begin so.
    pub fn numbers(&self, prefix: &str) -> usize {
        self.tensors.below(prefix).tensors().values().map(Tensor::numel).sum()
    }
}

fn halved(tensor: &Tensor) -> Result<Tensor, TchError> {
    if !matches!(tensor.f_kind()?, Kind::Float | Kind::Double | Kind::BFloat16) {
        return Ok(tensor.shallow_clone());
    }
    let half = tensor.f_to_kind(Kind::Half)?;
    let fits = half.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0;
    Ok(if fits { half } else { tensor.shallow_clone() })
}

fn decoder_prefix(number: usize) -> String {
    format!("decoders.{number}.")
}

fn backbone_prefix(name: &str) -> String {
    format!("backbones.{name}.")
}

fn add(tensors: &mut BTreeMap<String, Tensor>, prefix: &str, file: &NamedTensors) {
    let named =
        file.tensors().iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone()));
    tensors.extend(named);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_half_precision_cannot_hold_stays_as_it_is() {
        let kind = |tensor: Tensor| {
            let stored = halved(&tensor).unwrap();
            let close = (stored.to_kind(Kind::Double) - tensor.to_kind(Kind::Double)).abs().max();
            assert!(close.double_value(&[]) < 0.01, "{tensor:?}");
            stored.kind()
        };
        assert_eq!(kind(Tensor::from_slice(&[1.0f32, -0.3, 1e-9])), Kind::Half);
        assert_eq!(kind(Tensor::from_slice(&[0.7f64])), Kind::Half);
        assert_eq!(kind(Tensor::from_slice(&[1.0f32, 70_000.0])), Kind::Float);
        assert_eq!(kind(Tensor::from_slice(&[70_000i64])), Kind::Int64);
    }
}
