//! The two kinds of files that caption: a captioner, which holds everything, and a checkpoint of `train`, whose backbones
//! lie in a folder of weights, or in its run if they were tuned.

use std::path::Path;

use artifacts::RunFolder;
use artifacts::features::{FeatureSpec, OnnxOutput};
use model::captioner_file::{CaptionerError, CaptionerFile};
use model::checkpoint::{self, Assembled};
use model::grids::backbone_of;
use model::search::SearchSettings;
use model::tuned::TunedHeader;
use model::weights::{self, NamedArrays, OnnxFile, WeightPlaces};

use crate::error::CaptionError;

/// Where the networks come from: the file, and what it only names.
pub(crate) struct Source {
    file: File,
    weights: WeightPlaces,
}

enum File {
    Captioner(Box<CaptionerFile>),
    Checkpoint(NamedArrays),
}

/// What makes the features of a set.
pub(crate) enum Backbone {
    /// A backbone of this program.
    Ours { weights: NamedArrays, tuned: Option<TunedHeader> },
    /// A network of others, and where in its outputs the grid is.
    Onnx { file: OnnxFile, output: OnnxOutput },
}

impl Source {
    /// Reads a file, whose header says which of the two it is; `weights` is the folder of published weights.
    pub(crate) fn read(path: &Path, weights: &Path) -> Result<Source, CaptionError> {
        let file = weights::read(path)?;
        let weights = WeightPlaces { published: weights.to_owned(), run: RunFolder::of_trained(path) };
        let file = if CaptionerFile::is_in(&file) {
            File::Captioner(Box::new(CaptionerFile::from_arrays(file)?))
        } else {
            File::Checkpoint(file)
        };
        Ok(Source { file, weights })
    }

    /// The decoder, or the ensemble.
    pub(crate) fn decoder(&self) -> Result<Assembled, CaptionError> {
        let decoders = match &self.file {
            File::Captioner(captioner) => captioner.decoders().collect(),
            File::Checkpoint(file) => vec![(checkpoint::header_of(file)?, file.clone())],
        };
        Ok(Assembled::new(&decoders)?)
    }

    /// The backbone that made the features of `spec`: of ours the weights, and what is said of them if they were tuned.
    pub(crate) fn backbone(&self, spec: &FeatureSpec) -> Result<Backbone, CaptionError> {
        if let Some(output) = spec.onnx.clone() {
            let inside = match &self.file {
                File::Captioner(captioner) => captioner.onnx_of(spec),
                File::Checkpoint(_) => None,
            };
            let file = inside.map_or_else(|| self.weights.onnx(spec), Ok)?;
            return Ok(Backbone::Onnx { file, output });
        }
        match &self.file {
            File::Captioner(captioner) => Ok(Backbone::Ours {
                weights: captioner.weights_of(&spec.backbone),
                tuned: captioner.tuned(&spec.backbone)?,
            }),
            File::Checkpoint(_) => {
                let weights = weights::read(&self.weights.find(backbone_of(spec)?, spec)?)?;
                let refuse = |reason| CaptionerError::Header { path: weights.path().to_owned(), reason };
                let tuned = TunedHeader::of(&weights).map_err(refuse)?;
                Ok(Backbone::Ours { weights, tuned })
            }
        }
    }

    /// What the recipe chose; a checkpoint does not know.
    pub(crate) fn search_settings(&self) -> SearchSettings {
        match &self.file {
            File::Captioner(captioner) => captioner.header.search.clone(),
            File::Checkpoint(_) => SearchSettings::default(),
        }
    }
}
