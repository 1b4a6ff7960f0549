//! One backbone, run over photos the way `preprocess` runs it.

use std::sync::Arc;

use artifacts::features::FeatureSpec;
use half::f16;
use image::RgbImage;
use model::backbone::Backbone;
use model::grids::{Extractor, GridError, Squares};
use rayon::prelude::*;

use crate::workers::Workers;

/// A backbone with the transform that its features were made with.
pub(crate) struct Network {
    pub(crate) squares: Squares,
    extractors: Workers<Extractor>,
}

impl Network {
    /// The network that makes features of `spec`, a copy for each of the threads.
    pub(crate) fn new(spec: &FeatureSpec, backbone: Backbone, threads: usize) -> Result<Network, GridError> {
        let extractor = Extractor::new(spec, backbone)?;
        let squares = extractor.squares().clone();
        let extractors = Workers::new((1..threads).map(|_| extractor.clone()).chain([extractor.clone()]));
        Ok(Network { squares, extractors })
    }

    /// The grids of some squares, `[regions × channels]` each; batches run side by side on the threads of the pool.
    ///
    /// Extraction always fills its batches, which would make a single photo wait for seven blank ones here: batches are
    /// cut to keep all threads busy. What that costs, [`Extractor::grids`] says.
    pub(crate) fn grids(&self, squares: &[&RgbImage]) -> Result<Vec<Arc<[f16]>>, GridError> {
        let per_thread = squares.len().div_ceil(self.extractors.len());
        let batches = squares.par_chunks(per_thread.clamp(1, self.squares.at_once()));
        let grids: Vec<Vec<Arc<[f16]>>> = batches.map(|batch| self.batch(batch)).collect::<Result<_, _>>()?;
        Ok(grids.into_iter().flatten().collect())
    }

    fn batch(&self, squares: &[&RgbImage]) -> Result<Vec<Arc<[f16]>>, GridError> {
        let pixels = self.squares.normalized(squares);
        let grids = self.extractors.of_this_thread().grids(&pixels)?.halves()?;
        Ok(grids.chunks(grids.len() / squares.len()).map(Arc::from).collect())
    }
}
