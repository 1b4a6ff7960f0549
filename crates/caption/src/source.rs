//! The two kinds of files that caption: a captioner, which holds everything, and a checkpoint of `train`, whose backbones
//! lie in a folder of weights, or in its run if they were tuned.

use std::path::Path;

use artifacts::RunFolder;
use artifacts::features::FeatureSpec;
use model::backbone::Backbone;
use model::captioner_file::{CaptionerError, CaptionerFile};
use model::checkpoint::{self, Model};
use model::grids::Extractor;
use model::search::SearchSettings;
use model::tuned::{TunedHeader, WordHead};
use model::weights::{self, NamedTensors, WeightPlaces};
use tch::Device;

use crate::error::CaptionError;

/// Where the networks come from.
pub(crate) enum Source {
    Captioner(Box<CaptionerFile>),
    Checkpoint { file: NamedTensors, weights: WeightPlaces },
}

impl Source {
    /// Reads a file, whose header says which of the two it is; `weights` is the folder of published weights.
    pub(crate) fn read(path: &Path, weights: &Path) -> Result<Source, CaptionError> {
        let file = weights::read(path)?;
        if CaptionerFile::is_in(&file) {
            return Ok(Source::Captioner(Box::new(CaptionerFile::from_tensors(file)?)));
        }
        let weights = WeightPlaces { published: weights.to_owned(), run: RunFolder::of_trained(path) };
        Ok(Source::Checkpoint { file, weights })
    }

    pub(crate) fn model(&self, device: Device) -> Result<Model, CaptionError> {
        match self {
            Source::Captioner(captioner) => Ok(captioner.model(device)?),
            Source::Checkpoint { file, .. } => Ok(checkpoint::from_tensors(file, device)?),
        }
    }

    /// The network that made the features of `spec`.
    pub(crate) fn backbone(&self, spec: &FeatureSpec, device: Device) -> Result<Backbone, CaptionError> {
        match self {
            Source::Captioner(captioner) => Ok(captioner.backbone(spec, device)?),
            Source::Checkpoint { weights, .. } => {
                let row = Extractor::backbone_of(spec)?;
                Ok(Backbone::load(row, &weights.find(row, spec)?, device)?)
            }
        }
    }

    /// The head that predicts words of what that network sees, for weights that were tuned.
    pub(crate) fn word_head(
        &self,
        spec: &FeatureSpec,
        device: Device,
    ) -> Result<Option<WordHead>, CaptionError> {
        let channels = spec.channels as i64;
        let (header, tensors) = match self {
            Source::Captioner(captioner) => {
                (captioner.tuned(&spec.backbone)?, captioner.weights_of(&spec.backbone))
            }
            Source::Checkpoint { weights, .. } => {
                let file = weights::read(&weights.find(Extractor::backbone_of(spec)?, spec)?)?;
                let refuse = |reason| CaptionerError::Header { path: file.path().to_owned(), reason };
                (TunedHeader::of(&file).map_err(refuse)?, file)
            }
        };
        Ok(header.map(|header| WordHead::new(header, &tensors, channels, device)).transpose()?)
    }

    /// What the recipe chose; a checkpoint does not know.
    pub(crate) fn search_settings(&self) -> SearchSettings {
        match self {
            Source::Captioner(captioner) => captioner.header.search.clone(),
            Source::Checkpoint { .. } => SearchSettings::default(),
        }
    }
}
