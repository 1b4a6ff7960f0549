//! The backbones that the settings name, and the weights that each is given.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use artifacts::features::WeightsOrigin;
use artifacts::layout::TUNED_WEIGHTS;
use artifacts::manifest::{self, ManifestError};
use artifacts::{Manifest, Recipe};
use model::backbone::BackboneSpec;
use model::weights::{self, FetchError, NamedArrays};
use stage::{ConfigError, Context};

use crate::{Preprocess, Settings};

/// The registry rows that the settings name, with where their weights come from.
pub(crate) fn backbones(
    settings: &Settings,
    context: &Context,
) -> Result<Vec<(&'static BackboneSpec, WeightsOrigin)>, ConfigError> {
    let unknown = |error| context.refuse::<Preprocess>("backbone", error);
    let row = |(name, origin)| Ok((BackboneSpec::named(name).map_err(unknown)?, origin));
    settings.sources.backbones().map(row).collect()
}

/// The rows whose published weights are wanted.
pub(crate) fn published(
    settings: &Settings,
    context: &Context,
) -> Result<impl Iterator<Item = &'static BackboneSpec>, ConfigError> {
    let all = backbones(settings, context)?.into_iter();
    Ok(all.filter(|(_, origin)| origin.is_published()).map(|(backbone, _)| backbone))
}

/// Fetches the published weights that a config wants; returns where they are. Tuned ones are made by the stage `tune`.
///
/// # Errors
/// Values that the stage refuses, or weights that are nowhere to be had.
pub fn fetch_weights(context: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let settings = context.config.section(<Preprocess as stage::Stage>::NAME)?;
    crate::check_values(&settings, context)?;
    Ok(weights::ensure_all(published(&settings, context)?, &context.run.weights)?)
}

/// Refuses a config whose published weights are absent. Tuned ones may be still to come.
pub(crate) fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
    for backbone in published(settings, context)? {
        let absent = |error: FetchError| context.config.bad_value("run.weights", error.to_string());
        weights::find(backbone, &context.run.weights).map_err(absent)?;
    }
    Ok(())
}

/// A backbone with the file of its weights.
pub(crate) struct Weights {
    pub(crate) backbone: &'static BackboneSpec,
    pub(crate) origin: WeightsOrigin,
    pub(crate) sha256: String,
    path: PathBuf,
    /// Its name and its content hash in recipes.
    input: (String, String),
}

impl Weights {
    /// Looks for the file of weights.
    pub(crate) fn find(
        backbone: &'static BackboneSpec,
        origin: WeightsOrigin,
        context: &Context,
    ) -> anyhow::Result<Weights> {
        let name = backbone.name;
        let (path, promised) = match origin {
            WeightsOrigin::Published => (weights::find(backbone, &context.run.weights)?, None),
            WeightsOrigin::Tuned => {
                let folder = context.folder.tune(name);
                let manifest = match Manifest::read(&folder) {
                    Err(ManifestError::Missing(_)) => bail!(
                        "preprocess.weights is \"tuned\", and {} is not there or not finished: run the tune stage, or take \
                         the \"published\" ones",
                        folder.display()
                    ),
                    manifest => manifest?,
                };
                (folder.join(TUNED_WEIGHTS), Some(manifest.hash_of(&folder, TUNED_WEIGHTS)?))
            }
        };
        let sha256 = weights::sha256_file(&path).with_context(|| path.display().to_string())?;
        let input = match promised {
            None => (format!("weights/{name}"), format!("sha256:{sha256}")),
            Some(hash) => (format!("tune/{name}/{TUNED_WEIGHTS}"), hash),
        };
        Ok(Weights { backbone, origin, sha256, path, input })
    }

    /// A recipe with these weights among its inputs.
    pub(crate) fn named_in(&self, recipe: Recipe) -> Recipe {
        recipe.input(&self.input.0, &self.input.1)
    }

    /// Its tensors. Tuned weights must be those that the manifest beside them promises.
    pub(crate) fn read(&self) -> anyhow::Result<NamedArrays> {
        Ok(NamedArrays::from_bytes(&self.path, manifest::read_promised(&self.path)?)?)
    }
}
