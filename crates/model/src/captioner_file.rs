//! The file that captions anywhere: one safetensors file with the decoders and the backbones, and in its header all else
//! that captions need.
//!
//! Tensors are named `decoders.<n>.<name>` and `backbones.<backbone>.<name>`. The header holds the vocabulary, how the
//! features are made, the search settings, where every decoder comes from and how it scored. Of tuned weights all tensors
//! are there, and what their file says of itself. A network of others is one tensor of bytes, `backbones.<name>.onnx`: its
//! file as it was. Without it, the captioner knows the network's name and hash. Equal content gives equal bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifacts::features::FeatureSpec;
use artifacts::tensor_file::{CAPTIONER_KEY, TUNED_KEY};
use artifacts::vocabulary::Vocabulary;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, CheckpointError};
use crate::decoder::DecoderConfig;
use crate::grids::{SpecError, backbone_of};
use crate::header;
use crate::search::SearchSettings;
use crate::tuned::TunedHeader;
use crate::weights::{self, Array, Dtype, FetchError, NamedArrays, OnnxFile, WeightPlaces, WeightsError};

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

/// Where the ONNX networks go whose features a packed model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnnxNetworks {
    /// Into the file, which captions anywhere then.
    Inside,
    /// Nowhere: whoever captions must have the file of that hash.
    Named,
}

/// Everything that captions need.
pub struct CaptionerFile {
    /// What is known beside the tensors.
    pub header: CaptionerHeader,
    arrays: NamedArrays,
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
    Features(#[from] SpecError),
    /// The backbone's weights are absent or others.
    #[error(transparent)]
    NoWeights(#[from] FetchError),
    /// The file, or that of a backbone, cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl CaptionerFile {
    /// Packs checkpoints, and the weights that their features were made with, into a captioner called `name`; ONNX networks are
    /// packed too, or only named.
    ///
    /// # Errors
    ///
    /// When a checkpoint cannot be read, when several do not fit each other, or when the weights are absent or others than
    /// those of the features.
    pub fn pack(
        name: &str,
        decoders: &[Trained],
        weights: &WeightPlaces,
        networks: OnnxNetworks,
        search: SearchSettings,
        scores: serde_json::Value,
    ) -> Result<CaptionerFile, CaptionerError> {
        let files: Vec<NamedArrays> =
            decoders.iter().map(|trained| weights::read(&trained.path)).collect::<Result<_, _>>()?;
        let headers: Vec<_> = files.iter().map(checkpoint::header_of).collect::<Result<_, _>>()?;
        let common = checkpoint::in_common(files.iter().map(NamedArrays::path).zip(&headers))?;
        let mut arrays = BTreeMap::new();
        for (number, file) in files.iter().enumerate() {
            add(&mut arrays, &decoder_prefix(number), file);
        }
        let mut tuned = BTreeMap::new();
        for spec in &common.features {
            if spec.onnx.is_some() {
                if networks == OnnxNetworks::Inside {
                    arrays.extend(weights.onnx(spec)?.array().map(|array| (onnx_key(&spec.backbone), array)));
                }
                continue;
            }
            let file = weights::read(&weights.find(backbone_of(spec)?, spec)?)?;
            add(&mut arrays, &backbone_prefix(&spec.backbone), &file);
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
        Ok(CaptionerFile { header, arrays: NamedArrays::new("", arrays) })
    }

    /// The same in about half the bytes: floating-point numbers are rounded to half precision, except in a tensor that has one
    /// beyond its range. Every reader computes with them in f32 or f64.
    pub fn in_halves(self) -> CaptionerFile {
        let halved = self.arrays.arrays().iter().map(|(name, array)| (name.clone(), array.halved()));
        CaptionerFile { arrays: NamedArrays::new(self.arrays.path(), halved.collect()), ..self }
    }

    /// Whether some of its numbers are in half precision.
    pub fn holds_halves(&self) -> bool {
        self.arrays.arrays().values().any(|array| array.dtype() == Dtype::F16)
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
        Ok(weights::write_safetensors(path, self.arrays.arrays(), &entries)?)
    }

    /// Whether a file that was read calls itself a captioner.
    pub fn is_in(file: &NamedArrays) -> bool {
        file.metadata().contains_key(CAPTIONER_KEY)
    }

    /// The captioner in a file that was read.
    ///
    /// # Errors
    ///
    /// When the file holds none, or one of another version.
    pub fn from_arrays(file: NamedArrays) -> Result<CaptionerFile, CaptionerError> {
        let refuse = |reason: String| CaptionerError::Header { path: file.path().to_owned(), reason };
        let header: CaptionerHeader = header::parse(&file, CAPTIONER_KEY, FORMAT).map_err(refuse)?;
        if let Some(problem) = header.search.problem() {
            return Err(refuse(problem.within("search").to_string()));
        }
        Ok(CaptionerFile { header, arrays: file })
    }

    /// Its decoders, each with what a checkpoint of its own would hold; shares their memory.
    pub fn decoders(&self) -> impl Iterator<Item = (checkpoint::Header, NamedArrays)> {
        self.header.decoders.iter().enumerate().map(|(number, of)| {
            let header = checkpoint::Header {
                decoder: of.decoder.clone(),
                vocabulary: self.header.vocabulary.clone(),
                features: self.header.features.clone(),
                provenance: of.provenance.clone(),
            };
            (header, self.arrays.below(&decoder_prefix(number)))
        })
    }

    /// The tensors of a backbone, as they were named in its file.
    pub fn weights_of(&self, backbone: &str) -> NamedArrays {
        self.arrays.below(&backbone_prefix(backbone))
    }

    /// The network of others that makes features of `spec`, if the captioner holds it.
    pub fn onnx_of(&self, spec: &FeatureSpec) -> Option<OnnxFile> {
        let array = self.arrays.arrays().get(&onnx_key(&spec.backbone))?;
        Some(OnnxFile::of_array(self.arrays.path(), array, &spec.weights_sha256))
    }

    /// The sets whose network of others it only names.
    pub fn named_alone(&self) -> impl Iterator<Item = &FeatureSpec> {
        let absent = |spec: &&FeatureSpec| spec.onnx.is_some() && self.onnx_of(spec).is_none();
        self.header.features.iter().filter(absent)
    }

    /// What the tuning of a backbone learnt, `None` for published weights.
    ///
    /// # Errors
    ///
    /// When its header is not that of this program.
    pub fn tuned(&self, backbone: &str) -> Result<Option<TunedHeader>, CaptionerError> {
        let said = self.header.tuned.get(backbone);
        let header = said.map(|said| TunedHeader::parse(said.clone())).transpose();
        header.map_err(|reason| CaptionerError::Header { path: self.arrays.path().to_owned(), reason })
    }

    /// Numbers in all tensors whose names begin so; bytes of a file are none.
    pub fn numbers(&self, prefix: &str) -> usize {
        let below = self.arrays.below(prefix);
        below.arrays().values().filter(|array| array.dtype() != Dtype::U8).map(Array::elements).sum()
    }
}

fn decoder_prefix(number: usize) -> String {
    format!("decoders.{number}.")
}

fn onnx_key(name: &str) -> String {
    format!("{}onnx", backbone_prefix(name))
}

fn backbone_prefix(name: &str) -> String {
    format!("backbones.{name}.")
}

fn add(arrays: &mut BTreeMap<String, Array>, prefix: &str, file: &NamedArrays) {
    arrays.extend(file.arrays().iter().map(|(name, array)| (format!("{prefix}{name}"), array.clone())));
}
