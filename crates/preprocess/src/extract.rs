//! Images through the backbone.

use std::path::Path;

use anyhow::Context as _;
use artifacts::Recipe;
use artifacts::cli::Context;
use artifacts::features::{FeatureRow, FeatureSpec};
use artifacts::images::ImageRow;
use artifacts::manifest::Warning;
use artifacts::progress::Progress;
use half::f16;
use imaging::Transform;
use model::backbone::{Backbone, BackboneSpec};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::{Kind, Tensor};

/// Images a pass of the network: small, so that their activations stay in cache.
const IMAGES_AT_ONCE: usize = 8;

/// How images become the features of one backbone. The network stands apart: threads share this, but not a network.
pub(crate) struct Extractor {
    transform: Transform,
    /// Shape and origin of the features.
    pub(crate) spec: FeatureSpec,
    /// What decides the features of an image.
    pub(crate) recipe: Recipe,
}

impl Extractor {
    pub(crate) fn load(
        backbone: &'static BackboneSpec,
        weights: &Path,
        weights_sha256: String,
        recipe: Recipe,
        context: &Context,
    ) -> anyhow::Result<(Extractor, Backbone)> {
        let device = model::device::parse(&context.device)?;
        let transform = backbone.transform.clone();
        let side = backbone.grid(transform.crop) as usize;
        let spec = FeatureSpec {
            backbone: backbone.name.to_owned(),
            weights_sha256,
            transform: serde_json::to_value(&transform)?,
            grid: [side, side],
            channels: backbone.channels as usize,
        };
        let backbone = Backbone::load(backbone, weights, device)?;
        Ok((Extractor { transform, spec, recipe }, backbone))
    }

    /// Threads for [`Extractor::run`]; 0 means one a core.
    pub(crate) fn pool(&self, workers: usize) -> anyhow::Result<ThreadPool> {
        // Each worker is one thread of libtorch, too: set where it is asked for, and again in the threads themselves.
        tch::set_num_threads(1);
        let builder =
            ThreadPoolBuilder::new().num_threads(workers).start_handler(|_| tch::set_num_threads(1));
        Ok(builder.build()?)
    }

    /// The features of some images in their order, and those that could not be read.
    pub(crate) fn run(
        &self,
        backbone: &Backbone,
        pool: &ThreadPool,
        root: &Path,
        images: &[ImageRow],
        progress: &Progress,
    ) -> anyhow::Result<(Vec<FeatureRow>, Vec<Warning>)> {
        let handles: Vec<(Backbone, &[ImageRow])> =
            images.chunks(IMAGES_AT_ONCE).map(|chunk| (backbone.clone(), chunk)).collect();
        let batches: Vec<anyhow::Result<(Vec<FeatureRow>, Vec<Warning>)>> = pool.install(|| {
            let batches = handles.into_par_iter().map(|(backbone, chunk)| {
                let batch = self.batch(&backbone, root, chunk);
                progress.add(chunk.len());
                batch
            });
            batches.collect()
        });
        let (mut rows, mut skipped) = (Vec::new(), Vec::new());
        for batch in batches {
            let (batch_rows, batch_skipped) = batch?;
            rows.extend(batch_rows);
            skipped.extend(batch_skipped);
        }
        Ok((rows, skipped))
    }

    fn batch(
        &self,
        backbone: &Backbone,
        root: &Path,
        images: &[ImageRow],
    ) -> anyhow::Result<(Vec<FeatureRow>, Vec<Warning>)> {
        let (mut readable, mut pixels, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for image in images {
            match self.pixels(root, image) {
                Ok(values) => {
                    readable.push(image);
                    pixels.extend(values);
                }
                Err(error) => skipped
                    .push(Warning { subject: image.path.clone(), reason: format!("skipped: {error:#}") }),
            }
        }
        if readable.is_empty() {
            return Ok((Vec::new(), skipped));
        }
        let side = i64::from(self.transform.crop);
        let input = Tensor::f_from_slice(&pixels)?.f_view([readable.len() as i64, 3, side, side])?;
        let grid = tch::no_grad(|| backbone.grid(&input))?;
        let pooled = grid.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
        let pooled: Vec<f32> = Vec::try_from(pooled.f_reshape([-1])?)?;
        let grid: Vec<f16> = Vec::try_from(grid.f_to_kind(Kind::Half)?.f_reshape([-1])?)?;
        let (channels, size) = (self.spec.channels, self.spec.regions() * self.spec.channels);
        anyhow::ensure!(
            grid.len() == readable.len() * size,
            "{} gives grids of another shape than its registry row says",
            self.spec.backbone
        );
        let rows = readable.iter().zip(pooled.chunks(channels)).zip(grid.chunks(size));
        let rows = rows.map(|((image, pooled), grid)| FeatureRow {
            key: crate::key(image),
            pooled: pooled.to_vec(),
            grid: grid.to_vec(),
        });
        Ok((rows.collect(), skipped))
    }

    /// An image file as the backbone wants it: `[3 × crop × crop]`.
    fn pixels(&self, root: &Path, image: &ImageRow) -> anyhow::Result<Vec<f32>> {
        let bytes = std::fs::read(root.join(&image.path)).context("cannot be read")?;
        anyhow::ensure!(
            artifacts::recipe::digest(&bytes) == image.content_hash,
            "changed since the dataset stage saw it: run the dataset stage again"
        );
        let decoded = imaging::decode(&bytes)?;
        Ok(self.transform.apply(&decoded))
    }
}
