//! The weights that a trained model was shown images through: where they lie, and that they are those.

use std::path::PathBuf;

use artifacts::RunFolder;
use artifacts::features::{FeatureSpec, WeightsOrigin};
use artifacts::layout::TUNED_WEIGHTS;

use super::{FetchError, find, sha256_file};
use crate::backbone::BackboneSpec;

/// Where weights lie.
#[derive(Clone, Debug)]
pub struct WeightPlaces {
    /// Folder of the published ones.
    pub published: PathBuf,
    /// The run that keeps its tuned ones, if one is known.
    pub run: Option<RunFolder>,
}

impl WeightPlaces {
    /// The file of the weights that made some features, told by their hash; `backbone` is their row of the registry.
    ///
    /// # Errors
    ///
    /// When no file lies there, or one with another hash.
    pub fn find(
        &self,
        backbone: &'static BackboneSpec,
        features: &FeatureSpec,
    ) -> Result<PathBuf, FetchError> {
        let path = match features.weights {
            WeightsOrigin::Published => find(backbone, &self.published)?,
            WeightsOrigin::Tuned => self.tuned(backbone.name)?,
        };
        let (found, wanted) = (sha256_file(&path)?, features.weights_sha256.clone());
        if found != wanted {
            return Err(FetchError::OtherThanTrained { path, found, wanted });
        }
        Ok(path)
    }

    fn tuned(&self, backbone: &'static str) -> Result<PathBuf, FetchError> {
        let run = self.run.as_ref().ok_or(FetchError::NoRun { backbone })?;
        let path = run.tune(backbone).join(TUNED_WEIGHTS);
        if !path.is_file() {
            return Err(FetchError::NotTuned { backbone, path });
        }
        Ok(path)
    }
}
