//! One backbone, run over photos the way `preprocess` runs it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use artifacts::features::FeatureSpec;
use half::f16;
use half::slice::HalfFloatSliceExt;
use image::RgbImage;
use model::grids::{SpecError, Squares, backbone_of};
use onnx::ForeignBackbone;
use rayon::prelude::*;

use crate::error::CaptionError;
use crate::source::Backbone;
use crate::workers::Workers;

/// Most photos in one pass on one thread: more cost memory and save no time.
const AT_ONCE: usize = 4;

/// A backbone with the transform that its features were made with.
pub(crate) struct Network {
    pub(crate) squares: Squares,
    /// Numbers of a grid.
    size: usize,
    /// On all cores, for a photo that is alone.
    alone: Workers<Session>,
    /// On one core each.
    each: Workers<Session>,
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
    /// The network that makes features of `spec`, for so many threads.
    pub(crate) fn new(
        spec: &FeatureSpec,
        backbone: Backbone,
        threads: NonZeroUsize,
    ) -> Result<Network, CaptionError> {
        let squares = Squares::new(spec, AT_ONCE)?;
        let side = squares.transform().crop;
        let backbone = Arc::new(backbone);
        let on = |threads| {
            let (spec, backbone) = (spec.clone(), backbone.clone());
            move || Session::new(&spec, &backbone, side, threads)
        };
        let size = spec.regions() * spec.channels;
        let alone = Workers::new(1, on(threads));
        // Now, so that a network that cannot be made is known.
        alone.prepare(1)?;
        Ok(Network { squares, size, alone, each: Workers::new(threads.get(), on(NonZeroUsize::MIN)) })
    }

    /// Makes ready what [`grids`](Self::grids) would make ready when it is first needed.
    pub(crate) fn prepare(&self) -> Result<(), CaptionError> {
        self.each.prepare(self.each.len())
    }

    /// The grids of some squares, `[regions × channels]` each: of one alone on all cores, of several in batches side by side on
    /// the threads of the pool.
    pub(crate) fn grids(&self, squares: &[&RgbImage]) -> Result<Vec<Arc<[f16]>>, CaptionError> {
        let per_thread = squares.len().div_ceil(self.each.len());
        let batches = squares.par_chunks(per_thread.clamp(1, self.squares.at_once()));
        let network = if squares.len() > 1 { &self.each } else { &self.alone };
        let grids: Vec<Vec<Arc<[f16]>>> =
            batches.map(|batch| self.batch(network, batch)).collect::<Result<_, CaptionError>>()?;
        Ok(grids.into_iter().flatten().collect())
    }

    fn batch(
        &self,
        network: &Workers<Session>,
        squares: &[&RgbImage],
    ) -> Result<Vec<Arc<[f16]>>, CaptionError> {
        let pixels = self.squares.normalized(squares);
        let grids = network.of_this_thread(|network| network.grids(&pixels))?;
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
