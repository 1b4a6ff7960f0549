//! The two kinds of files that caption: a captioner, which holds everything, and a checkpoint of `train`, whose backbones
//! lie in a folder of weights.

use std::path::Path;

use artifacts::features::FeatureSpec;
use model::backbone::Backbone;
use model::captioner_file::CaptionerFile;
use model::checkpoint::{self, Model};
use model::grids::Extractor;
use model::search::SearchSettings;
use model::weights::{self, NamedTensors};
use tch::Device;

use crate::error::CaptionError;

/// Where the networks come from.
pub(crate) enum Source<'a> {
    Captioner(Box<CaptionerFile>),
    Checkpoint { file: NamedTensors, weights: &'a Path },
}

impl Source<'_> {
    /// Reads a file, whose header says which of the two it is.
    pub(crate) fn read<'a>(path: &Path, weights: &'a Path) -> Result<Source<'a>, CaptionError> {
        let file = weights::read(path)?;
        match CaptionerFile::is_in(&file) {
            true => Ok(Source::Captioner(Box::new(CaptionerFile::from_tensors(file)?))),
            false => Ok(Source::Checkpoint { file, weights }),
        }
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
                let path = weights::find_trained(row, weights, &spec.weights_sha256)?;
                Ok(Backbone::load(row, &path, device)?)
            }
        }
    }

    /// What the recipe chose; a checkpoint does not know.
    pub(crate) fn search_settings(&self) -> SearchSettings {
        match self {
            Source::Captioner(captioner) => captioner.header.search.clone(),
            Source::Checkpoint { .. } => SearchSettings::default(),
        }
    }
}
