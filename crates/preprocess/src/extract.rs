//! Some images through decoding and the backbone: what each thread of the pipeline does.

use std::path::PathBuf;

use artifacts::images::ImageRow;
use artifacts::manifest::Warning;
use half::f16;
use imaging::Transform;

use crate::engine::{EngineError, Halves, Worker};

/// Images of one part that go through the network together, each with its place in the part.
pub(crate) struct Batch<'a> {
    pub(crate) part: usize,
    pub(crate) images: Vec<(usize, &'a ImageRow)>,
}

/// A batch as the network wants it.
pub(crate) struct Pixels<'a> {
    pub(crate) batch: Batch<'a>,
    /// `[batch size × 3 × side × side]`, zeros where there is no image, or none that can be read. The batch is always filled
    /// up: an image's features must not depend on its neighbours.
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

/// How image files become what the network takes. Threads share it.
pub(crate) struct Decoder {
    pub(crate) transform: Transform,
    /// Images in one batch: few on a CPU, where the activations should stay in cache.
    pub(crate) at_once: usize,
    /// Folder of the images.
    pub(crate) root: PathBuf,
}

impl Decoder {
    /// Reads, decodes and normalises a batch.
    pub(crate) fn decode<'b>(&self, batch: Batch<'b>) -> Pixels<'b> {
        let numbers = 3 * (self.transform.crop as usize).pow(2);
        let mut values = vec![0.0; self.at_once * numbers];
        let (mut skipped, mut bytes) = (Vec::new(), 0);
        for ((_, image), values) in batch.images.iter().zip(values.chunks_mut(numbers)) {
            skipped.push(match self.square(image, values) {
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

    /// An image file as the backbone wants it; returns the file's size.
    fn square(&self, image: &ImageRow, out: &mut [f32]) -> anyhow::Result<usize> {
        let bytes = imaging::read_file(&self.root.join(&image.path))?;
        anyhow::ensure!(
            artifacts::recipe::digest(&bytes) == image.content_hash,
            "changed since the dataset stage saw it: run the dataset stage again"
        );
        self.transform.normalize(&self.transform.pixels(&imaging::decode(&bytes)?), out);
        Ok(bytes.len())
    }
}

/// Runs the network over a batch.
pub(crate) fn features(
    network: &mut Worker,
    pixels: &Pixels,
    at_once: usize,
) -> Result<Vec<Result<Extracted, Warning>>, EngineError> {
    let Halves { grids, pooled } = network.features(&pixels.values)?;
    let rows = pooled.chunks(pooled.len() / at_once).zip(grids.chunks(grids.len() / at_once));
    let results = pixels.skipped.iter().zip(rows).map(|(skipped, (pooled, grid))| match skipped {
        Some(warning) => Err(warning.clone()),
        None => Ok(Extracted { pooled: pooled.to_vec(), grid: grid.to_vec() }),
    });
    Ok(results.collect())
}
