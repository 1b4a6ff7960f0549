//! The network of others that `preprocess.onnx` describes: its file, and what a run over a blank square tells of its grids.

use std::num::NonZeroUsize;

use anyhow::Context as _;
use artifacts::features::{FeatureSpec, OnnxOutput, WeightsOrigin};
use artifacts::{Recipe, View};
use imaging::{Interpolation, Transform, TransformError};
use model::backbone::{BackboneSpec, transform_of};
use model::weights::OnnxFile;
use onnx::{ForeignBackbone, ForeignError, ForeignGrids};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use stage::{ConfigError, Context, OnnxNetwork};

use crate::Preprocess;

/// The file of a network, read.
pub(crate) struct Foreign<'a> {
    network: &'a OnnxNetwork,
    transform: Transform,
    pub(crate) file: OnnxFile,
}

/// What a network makes of a view.
pub(crate) struct Made {
    pub(crate) spec: FeatureSpec,
    /// How many images it takes at a time, if not any number.
    pub(crate) at_once: Option<usize>,
}

/// Refuses what the config alone shows to be wrong.
pub(crate) fn check(network: &OnnxNetwork, context: &Context) -> Result<(), ConfigError> {
    if BackboneSpec::named(&network.name).is_ok() {
        let reason =
            format!("`{}` is a backbone of this program: give the network another name", network.name);
        return Err(context.refuse::<Preprocess>("onnx.name", reason));
    }
    transform(network, context).map(drop)
}

/// What the network is shown of the centre view.
fn transform(network: &OnnxNetwork, context: &Context) -> Result<Transform, ConfigError> {
    let OnnxNetwork { resize, crop, squash, .. } = *network;
    let [mean, std] = [network.mean, network.std].map(|of| of.map(|value| value as f32));
    let interpolation = Interpolation::deserialize(network.interpolation.as_str().into_deserializer())
        .map_err(|error: Error| context.refuse::<Preprocess>("onnx.interpolation", error))?;
    let transform = Transform { resize, crop, squash, mirror: false, interpolation, mean, std };
    let key = |error: &TransformError| match error {
        TransformError::Size { .. } => "onnx.crop",
        TransformError::Scale { .. } => "onnx.std",
    };
    let checked = transform.check();
    checked.map_err(|error| context.refuse::<Preprocess>(key(&error), error)).map(|()| transform)
}

impl<'a> Foreign<'a> {
    /// Reads the file.
    pub(crate) fn find(network: &'a OnnxNetwork, context: &Context) -> anyhow::Result<Foreign<'a>> {
        let transform = transform(network, context)?;
        let usual = OnnxFile::usual(&context.run.weights, &network.name);
        let path = if network.file.as_os_str().is_empty() { &usual } else { &network.file };
        let refuse = |reason: String| context.refuse::<Preprocess>("onnx.file", reason);
        if !path.exists() {
            let reason = format!("{} is not there: put the network's file there, or name it", path.display());
            return Err(refuse(reason).into());
        }
        let file = OnnxFile::read(path).map_err(|error| refuse(error.to_string()))?;
        Ok(Foreign { network, transform, file })
    }

    /// What the network makes of a view, found out by running it.
    ///
    /// # Errors
    ///
    /// A network that is none, or does not do what the settings say, by the setting that would be another.
    pub(crate) fn makes(&self, view: View, context: &Context) -> anyhow::Result<Made> {
        let transform = transform_of(view, &self.transform);
        let refuse = |key, reason: String| {
            let of = if view == View::default() { String::new() } else { format!(", view {view}") };
            context.refuse::<Preprocess>(key, format!("{}{of}: {reason}", self.file.path.display()))
        };
        let told = self.blank(transform.crop).map_err(|error| refuse(culprit(&error), error.to_string()));
        let (backbone, grids) = told?;
        let grid = self.sides(&grids).map_err(|reason| refuse("onnx.grid", reason))?;
        let spec = FeatureSpec {
            backbone: self.network.name.clone(),
            view,
            weights: WeightsOrigin::Published,
            weights_sha256: self.file.sha256.clone(),
            onnx: Some(backbone.output().clone()),
            transform: serde_json::to_value(&transform).context("the transform is no JSON")?,
            grid,
            channels: grids.channels,
        };
        Ok(Made { spec, at_once: backbone.at_once() })
    }

    /// The grid of a blank square.
    fn blank(&self, side: u32) -> Result<(ForeignBackbone, ForeignGrids), ForeignError> {
        let OnnxNetwork { output, regions, drop_tokens, .. } = self.network;
        let of = OnnxOutput { output: output.clone(), regions: *regions, drop_tokens: *drop_tokens };
        let mut backbone = ForeignBackbone::new(self.file.bytes(), &of, side, NonZeroUsize::MIN)?;
        let grids = backbone.grids(&vec![0.0; backbone.numbers()])?;
        Ok((backbone, grids))
    }

    /// Rows and columns of the grid.
    fn sides(&self, grids: &ForeignGrids) -> Result<[usize; 2], String> {
        let regions = grids.regions;
        let sides = match (grids.sides, self.network.grid.as_slice()) {
            (Some(sides), _) => sides,
            (None, &[rows, columns]) => [rows, columns],
            (None, _) => [regions.isqrt(); 2],
        };
        if sides[0].checked_mul(sides[1]) == Some(regions) {
            return Ok(sides);
        }
        let dropped = self.network.drop_tokens;
        Err(format!(
            "{regions} regions are left of {} tokens, which is not {}×{}: write [rows, columns], or another onnx.drop_tokens",
            regions + dropped,
            sides[0],
            sides[1]
        ))
    }

    /// A recipe with this file among its inputs.
    pub(crate) fn named_in(&self, recipe: Recipe) -> Recipe {
        recipe.input(format!("weights/{}", self.network.name), format!("sha256:{}", self.file.sha256))
    }
}

/// The setting that would have to be another.
fn culprit(error: &ForeignError) -> &'static str {
    match error {
        ForeignError::Side { .. } => "onnx.crop",
        ForeignError::NoOutput { .. } | ForeignError::Outputs(_) | ForeignError::OutputType(_) => {
            "onnx.output"
        }
        ForeignError::OutputShape { .. } => "onnx.regions",
        ForeignError::NoRegions { .. } => "onnx.drop_tokens",
        _ => "onnx.file",
    }
}
