//! One backbone, run over photos the way `preprocess` runs it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use artifacts::features::FeatureSpec;
use half::f16;
use half::slice::HalfFloatSliceExt;
use image::RgbImage;
use imaging::Transform;
use model::grids::{SpecError, backbone_of, transform};
use onnx::ForeignBackbone;

use crate::error::CaptionError;
use crate::source::Backbone;
use crate::workers::{Cores, Workers};

/// A backbone with the transform that its features were made with.
pub(crate) struct Network {
    pub(crate) transform: Transform,
    /// Numbers of a grid.
    size: usize,
    /// Photos in one pass on one thread: several cost memory and save no time, except with a network that takes so many.
    at_once: usize,
    sessions: Workers<Session>,
}

/// A network ready to run.
enum Session {
    Ours(onnx::Backbone),
    Foreign { backbone: ForeignBackbone, name: String },
}

impl Session {
    /// The network that makes features of `spec` of squares of `side` pixels, on so many threads.
    fn new(
        spec: &FeatureSpec,
        backbone: &Backbone,
        side: u32,
        threads: NonZeroUsize,
    ) -> Result<Session, CaptionError> {
        Ok(match backbone {
            Backbone::Ours { weights, .. } => {
                // What the file holds is smaller than what the graph does, so the graph is made anew.
                let file = onnx::backbone(backbone_of(spec)?, weights, side)?;
                Session::Ours(onnx::Backbone::new(&file, side, threads)?)
            }
            Backbone::Onnx { file, output } => {
                let name = file.path.display().to_string();
                let backbone = ForeignBackbone::new(file.bytes(), output, side, threads)
                    .map_err(|error| CaptionError::foreign(&name, error))?;
                Session::Foreign { backbone, name }
            }
        })
    }

    /// How many photos it takes at a time, if it does not take any number.
    fn at_once(&self) -> Option<usize> {
        match self {
            Session::Ours(_) => None,
            Session::Foreign { backbone, .. } => backbone.at_once(),
        }
    }

    fn grids(&mut self, pixels: &[f32]) -> Result<Vec<f32>, CaptionError> {
        match self {
            Session::Ours(backbone) => Ok(backbone.grids(pixels)?),
            Session::Foreign { backbone, name } => {
                let grids = backbone.grids(pixels).map_err(|error| CaptionError::foreign(name, error))?;
                Ok(grids.values)
            }
        }
    }
}

impl Network {
    /// The network that makes features of `spec`, for so many cores.
    pub(crate) fn new(
        spec: &FeatureSpec,
        backbone: Backbone,
        cores: NonZeroUsize,
    ) -> Result<Network, CaptionError> {
        let transform = transform(spec)?;
        let side = transform.crop;
        let of = spec.clone();
        let sessions = Workers::new(cores, move |threads| Session::new(&of, &backbone, side, threads))?;
        let at_once = sessions.alone(|network| Ok(network.at_once()))?.unwrap_or(1).max(1);
        Ok(Network { transform, size: spec.regions() * spec.channels, at_once, sessions })
    }

    /// Makes ready what [`grids`](Self::grids) would make ready when it is first needed.
    pub(crate) fn prepare(&self) -> Result<(), CaptionError> {
        self.sessions.prepare()
    }

    /// Photos in one pass, at most.
    pub(crate) fn at_once(&self) -> usize {
        self.at_once
    }

    /// The grids of some squares, `[regions × channels]` each, one pass after another.
    pub(crate) fn grids(&self, squares: &[&RgbImage], cores: Cores) -> Result<Vec<Arc<[f16]>>, CaptionError> {
        let passes = squares.chunks(self.at_once).map(|squares| self.pass(squares, cores));
        Ok(passes.collect::<Result<Vec<_>, CaptionError>>()?.concat())
    }

    fn pass(&self, squares: &[&RgbImage], cores: Cores) -> Result<Vec<Arc<[f16]>>, CaptionError> {
        let numbers = 3 * (self.transform.crop as usize).pow(2);
        let mut pixels = vec![0.0; squares.len() * numbers];
        for (square, out) in squares.iter().zip(pixels.chunks_mut(numbers)) {
            self.transform.normalize(square, out);
        }
        let run = |network: &mut Session| network.grids(&pixels);
        let grids = self.sessions.on(cores, run)?;
        if grids.len() != squares.len() * self.size {
            let found = grids.len() / squares.len().max(1);
            let reason = format!("the network gives {found} numbers for each image, not {}", self.size);
            return Err(SpecError::Spec { name: "this model".to_owned(), reason }.into());
        }
        let halves = |grid: &[f32]| {
            let mut halves = vec![f16::ZERO; grid.len()];
            halves.convert_from_f32_slice(grid);
            Arc::from(halves)
        };
        Ok(grids.chunks(self.size).map(halves).collect())
    }
}
