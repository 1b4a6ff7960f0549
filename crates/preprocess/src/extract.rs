//! Some images through decoding and the backbone: what each thread of the pipeline does.

use std::path::PathBuf;

use anyhow::Context as _;
use artifacts::features::FeatureSpec;
use artifacts::images::ImageRow;
use artifacts::manifest::Warning;
use half::f16;
use imaging::Transform;
use model::backbone::Backbone;
use tch::{Device, Kind, Tensor};

/// Images of one part that go through the network together, each with its place in the part.
pub(crate) struct Batch<'a> {
    pub(crate) part: usize,
    pub(crate) images: Vec<(usize, &'a ImageRow)>,
}

/// A batch as the network wants it.
pub(crate) struct Pixels<'a> {
    pub(crate) batch: Batch<'a>,
    /// `[batch size, 3, crop, crop]`; zeros where there is no image, or none that can be read.
    values: Vec<f32>,
    /// Why an image cannot be read.
    skipped: Vec<Option<Warning>>,
    /// Bytes of the image files.
    pub(crate) bytes: usize,
}

/// The features of one image.
pub(crate) struct Extracted {
    /// `[channels]`: the mean over the regions.
    pub(crate) pooled: Vec<f16>,
    /// `[regions × channels]`.
    pub(crate) grid: Vec<f16>,
}

/// How images become features.
pub(crate) struct Extractor<'a> {
    spec: &'a FeatureSpec,
    transform: Transform,
    root: PathBuf,
    /// Images per pass of the network. It is always filled up: convolutions of another batch size may round otherwise,
    /// and an image's features must not depend on its neighbours.
    pub(crate) batch_size: usize,
}

impl Extractor<'_> {
    pub(crate) fn new(spec: &FeatureSpec, root: PathBuf, device: Device) -> anyhow::Result<Extractor<'_>> {
        let transform: Transform = serde_json::from_value(spec.transform.clone())?;
        // Small on a CPU, where the activations of a batch should stay in cache.
        let batch_size = if device.is_cuda() { 64 } else { 8 };
        Ok(Extractor { spec, transform, root, batch_size })
    }

    /// Reads, decodes and normalises a batch.
    pub(crate) fn decode<'b>(&self, batch: Batch<'b>) -> Pixels<'b> {
        let size = 3 * (self.transform.crop as usize).pow(2);
        let mut values = vec![0.0; self.batch_size * size];
        let (mut skipped, mut bytes) = (Vec::new(), 0);
        for ((_, image), values) in batch.images.iter().zip(values.chunks_mut(size)) {
            skipped.push(match self.pixels(image, values) {
                Ok(read) => {
                    bytes += read;
                    None
                }
                Err(error) => {
                    Some(Warning { subject: image.path.clone(), reason: format!("skipped: {error:#}") })
                }
            });
        }
        Pixels { batch, values, skipped, bytes }
    }

    /// An image file as the backbone wants it, `[3 × crop × crop]`; returns the file's size.
    fn pixels(&self, image: &ImageRow, out: &mut [f32]) -> anyhow::Result<usize> {
        let bytes = std::fs::read(self.root.join(&image.path)).context("cannot be read")?;
        anyhow::ensure!(
            artifacts::recipe::digest(&bytes) == image.content_hash,
            "changed since the dataset stage saw it: run the dataset stage again"
        );
        let decoded = imaging::decode(&bytes)?;
        self.transform.normalize(&self.transform.pixels(&decoded), out);
        Ok(bytes.len())
    }

    /// Runs the network over a batch.
    pub(crate) fn features(
        &self,
        backbone: &Backbone,
        pixels: &Pixels,
    ) -> anyhow::Result<Vec<Result<Extracted, Warning>>> {
        let side = i64::from(self.transform.crop);
        let input = Tensor::f_from_slice(&pixels.values)?.f_view([self.batch_size as i64, 3, side, side])?;
        let grid = tch::no_grad(|| backbone.grid(&input))?;
        let pooled = grid.f_mean_dim([1i64].as_slice(), false, Kind::Float)?;
        let halves = |tensor: &Tensor| Vec::<f16>::try_from(tensor.f_to_kind(Kind::Half)?.f_reshape([-1])?);
        let (pooled, grid) = (halves(&pooled)?, halves(&grid)?);
        let (channels, size) = (self.spec.channels, self.spec.regions() * self.spec.channels);
        anyhow::ensure!(
            grid.len() == self.batch_size * size,
            "{} gives grids of another shape than its registry row says",
            self.spec.backbone
        );
        let rows = pooled.chunks(channels).zip(grid.chunks(size));
        let results = pixels.skipped.iter().zip(rows).map(|(skipped, (pooled, grid))| match skipped {
            Some(warning) => Err(warning.clone()),
            None => Ok(Extracted { pooled: pooled.to_vec(), grid: grid.to_vec() }),
        });
        Ok(results.collect())
    }
}
