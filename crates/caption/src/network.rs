//! One backbone, run over photos the way `preprocess` runs it.

use std::path::Path;

use artifacts::features::FeatureSpec;
use half::f16;
use image::RgbImage;
use imaging::Transform;
use model::backbone::{Backbone, BackboneSpec};
use model::weights;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use crate::error::CaptionError;
use crate::workers::Workers;

/// A backbone with the transform that its features were made with.
pub(crate) struct Network {
    pub(crate) transform: Transform,
    backbones: Workers<Backbone>,
    /// Most images a pass.
    batch_size: usize,
}

impl Network {
    /// The network that made the features of `spec`, as the checkpoint at `path` describes them.
    pub(crate) fn open(
        spec: &FeatureSpec,
        path: &Path,
        weights_folder: &Path,
        device: Device,
        threads: usize,
    ) -> Result<Network, CaptionError> {
        let backbone = BackboneSpec::named(&spec.backbone)
            .map_err(|source| CaptionError::Backbone { path: path.to_owned(), source })?;
        let refuse = |reason: String| CaptionError::Features { path: path.to_owned(), reason };
        let transform: Transform =
            serde_json::from_value(spec.transform.clone()).map_err(|error| refuse(error.to_string()))?;
        let side = backbone.grid(transform.crop) as usize;
        let (made, wanted) = (([side, side], backbone.channels as usize), (spec.grid, spec.channels));
        if made != wanted {
            return Err(refuse(format!("{} gives grids {made:?}, not {wanted:?}", backbone.name)));
        }
        let file = weights::find(backbone, weights_folder)?;
        let found = weights::sha256_file(&file)?;
        if found != spec.weights_sha256 {
            return Err(CaptionError::OtherWeights {
                path: file,
                found,
                wanted: spec.weights_sha256.clone(),
            });
        }
        let backbone = Backbone::load(backbone, &file, device)?;
        let backbones = Workers::new((1..threads).map(|_| backbone.clone()).chain([backbone.clone()]));
        // Small on a CPU, where the activations of a batch should stay in cache.
        let batch_size = if device.is_cuda() { 64 } else { 8 };
        Ok(Network { transform, backbones, batch_size })
    }

    /// The grids of some squares, `[regions × channels]` each; batches run side by side on the threads of the pool.
    ///
    /// Extraction always fills its batches, because batches of another size may round otherwise. Here that would make a
    /// single photo wait for seven blank ones, so batches are cut to keep all threads busy. What it costs: with
    /// squeeze-and-excitation (EfficientNet-B), some values differ by the last bit of half precision; ResNets and
    /// EfficientNet-Lite on a CPU give the very bits of the cache.
    pub(crate) fn grids(&self, squares: &[&RgbImage]) -> Result<Vec<Vec<f16>>, CaptionError> {
        let a_thread = squares.len().div_ceil(self.backbones.len());
        let batches = squares.par_chunks(a_thread.clamp(1, self.batch_size));
        let grids: Vec<Vec<Vec<f16>>> = batches.map(|batch| self.batch(batch)).collect::<Result<_, _>>()?;
        Ok(grids.into_iter().flatten().collect())
    }

    fn batch(&self, squares: &[&RgbImage]) -> Result<Vec<Vec<f16>>, CaptionError> {
        let side = i64::from(self.transform.crop);
        let size = (3 * side * side) as usize;
        let mut values = vec![0.0; squares.len() * size];
        for (square, values) in squares.iter().zip(values.chunks_mut(size)) {
            self.transform.normalize(square, values);
        }
        let input = Tensor::f_from_slice(&values)?.f_view([squares.len() as i64, 3, side, side])?;
        let grid = tch::no_grad(|| self.backbones.of_this_thread().grid(&input))?;
        let grid = Vec::<f16>::try_from(grid.f_to_kind(Kind::Half)?.f_reshape([-1])?)?;
        Ok(grid.chunks(grid.len() / squares.len()).map(<[f16]>::to_vec).collect())
    }
}
