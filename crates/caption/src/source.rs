//! The two kinds of files that caption: a captioner, which holds everything, and a checkpoint of `train`, whose backbones
//! lie in a folder of weights, or in its run if they were tuned.

use std::path::Path;

use artifacts::RunFolder;
use artifacts::features::FeatureSpec;
use model::captioner_file::{CaptionerError, CaptionerFile};
use model::checkpoint::{self, Assembled};
use model::grids::backbone_of;
use model::search::SearchSettings;
use model::tuned::TunedHeader;
use model::weights::{self, NamedArrays, WeightPlaces};

use crate::error::CaptionError;

/// Where the networks come from.
pub(crate) enum Source {
    Captioner(Box<CaptionerFile>),
    Checkpoint { file: NamedArrays, weights: WeightPlaces },
}

impl Source {
    /// Reads a file, whose header says which of the two it is; `weights` is the folder of published weights.
    pub(crate) fn read(path: &Path, weights: &Path) -> Result<Source, CaptionError> {
        let file = weights::read(path)?;
        if CaptionerFile::is_in(&file) {
            return Ok(Source::Captioner(Box::new(CaptionerFile::from_arrays(file)?)));
        }
        let weights = WeightPlaces { published: weights.to_owned(), run: RunFolder::of_trained(path) };
        Ok(Source::Checkpoint { file, weights })
    }

    /// The decoder, or the ensemble.
    pub(crate) fn decoder(&self) -> Result<Assembled, CaptionError> {
        let decoders = match self {
            Source::Captioner(captioner) => captioner.decoders().collect(),
            Source::Checkpoint { file, .. } => vec![(checkpoint::header_of(file)?, file.clone())],
        };
        Ok(Assembled::new(&decoders)?)
    }

    /// The weights of the backbone that made the features of `spec`, and what is said of them if they were tuned.
    pub(crate) fn backbone(
        &self,
        spec: &FeatureSpec,
    ) -> Result<(NamedArrays, Option<TunedHeader>), CaptionError> {
        match self {
            Source::Captioner(captioner) => {
                Ok((captioner.weights_of(&spec.backbone), captioner.tuned(&spec.backbone)?))
            }
            Source::Checkpoint { weights, .. } => {
                let file = weights::read(&weights.find(backbone_of(spec)?, spec)?)?;
                let refuse = |reason| CaptionerError::Header { path: file.path().to_owned(), reason };
                let tuned = TunedHeader::of(&file).map_err(refuse)?;
                Ok((file, tuned))
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
