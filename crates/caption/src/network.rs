//! One backbone, run over photos the way `preprocess` runs it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use artifacts::features::FeatureSpec;
use half::f16;
use half::slice::HalfFloatSliceExt;
use image::RgbImage;
use model::grids::{SpecError, Squares, backbone_of};
use model::weights::NamedArrays;
use onnx::Backbone;
use rayon::prelude::*;

use crate::error::CaptionError;
use crate::workers::Workers;

/// Most photos in one pass on one thread: more cost memory and save no time.
const AT_ONCE: usize = 4;

/// A backbone with the transform that its features were made with.
pub(crate) struct Network {
    pub(crate) squares: Squares,
    /// Numbers of a grid.
    size: usize,
    /// On all cores, for a photo that is alone.
    alone: Workers<Backbone>,
    /// On one core each.
    each: Workers<Backbone>,
}

impl Network {
    /// The network that makes features of `spec`, for so many threads.
    pub(crate) fn new(
        spec: &FeatureSpec,
        weights: NamedArrays,
        threads: NonZeroUsize,
    ) -> Result<Network, CaptionError> {
        let squares = Squares::new(spec, AT_ONCE)?;
        let (backbone, side) = (backbone_of(spec)?, squares.transform().crop);
        let on = |threads| {
            let weights = weights.clone();
            // What the file holds is smaller than what the graph does, so the graph is made anew.
            move || Ok(Backbone::new(&onnx::backbone(backbone, &weights, side)?, side, threads)?)
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
        network: &Workers<Backbone>,
        squares: &[&RgbImage],
    ) -> Result<Vec<Arc<[f16]>>, CaptionError> {
        let pixels = self.squares.normalized(squares);
        let grids = network.of_this_thread(|network| Ok(network.grids(&pixels)?))?;
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
