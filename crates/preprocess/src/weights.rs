//! The backbones that the settings name, and the weights that each is given.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use artifacts::features::{FeatureSpec, WeightsOrigin};
use artifacts::layout::TUNED_WEIGHTS;
use artifacts::manifest::{self, ManifestError};
use artifacts::{Manifest, Recipe, View};
use model::backbone::BackboneSpec;
use model::weights::{self, FetchError, NamedArrays};
use stage::{ConfigError, Context, OnnxNetwork};

use crate::foreign::{self, Foreign};
use crate::{Preprocess, Settings};

/// A backbone that the settings name.
pub(crate) enum Chosen<'a> {
    /// A row of the registry, with where its weights come from.
    Ours(&'static BackboneSpec, WeightsOrigin),
    /// A network of others.
    Onnx(&'a OnnxNetwork),
}

/// The backbones that the settings name.
pub(crate) fn backbones<'a>(
    settings: &'a Settings,
    context: &Context,
) -> Result<Vec<Chosen<'a>>, ConfigError> {
    let unknown = |error| context.refuse::<Preprocess>("backbone", error);
    let chosen = |(name, origin)| match settings.sources.onnx(name) {
        Some(network) => foreign::check(network, context).map(|()| Chosen::Onnx(network)),
        None => Ok(Chosen::Ours(BackboneSpec::named(name).map_err(unknown)?, origin)),
    };
    settings.sources.backbones().map(chosen).collect()
}

/// Fetches the published weights that a config wants; returns where they are. Tuned ones are made by the stage `tune`, and
/// networks of others must be there.
///
/// # Errors
/// Values that the stage refuses, or weights that are nowhere to be had.
pub fn fetch_weights(context: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let settings = context.config.section(<Preprocess as stage::Stage>::NAME)?;
    crate::check_values(&settings, context)?;
    let mut published = Vec::new();
    for chosen in backbones(&settings, context)? {
        match chosen {
            Chosen::Ours(backbone, WeightsOrigin::Published) => published.push(backbone),
            Chosen::Ours(_, WeightsOrigin::Tuned) => {}
            Chosen::Onnx(network) => drop(Foreign::find(network, context)?),
        }
    }
    Ok(weights::ensure_all(published, &context.run.weights)?)
}

/// Refuses a config whose published weights are absent, and a network of others that does not do what the settings say. Tuned
/// weights may be still to come.
pub(crate) fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
    for chosen in backbones(settings, context)? {
        match chosen {
            Chosen::Ours(backbone, WeightsOrigin::Published) => {
                let absent = |error: FetchError| context.config.bad_value("run.weights", error.to_string());
                weights::find(backbone, &context.run.weights).map_err(absent)?;
            }
            Chosen::Ours(_, WeightsOrigin::Tuned) => {}
            Chosen::Onnx(network) => {
                let foreign = Foreign::find(network, context)?;
                for &view in &settings.sources.views {
                    foreign.makes(view, context)?;
                }
            }
        }
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

    /// What the backbone makes of a view.
    pub(crate) fn spec(&self, view: View) -> serde_json::Result<FeatureSpec> {
        let backbone = self.backbone;
        let transform = backbone.transform_of(view);
        let side = backbone.grid(transform.crop) as usize;
        Ok(FeatureSpec {
            backbone: backbone.name.to_owned(),
            view,
            weights: self.origin,
            weights_sha256: self.sha256.clone(),
            onnx: None,
            transform: serde_json::to_value(&transform)?,
            grid: [side, side],
            channels: backbone.channels as usize,
        })
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
