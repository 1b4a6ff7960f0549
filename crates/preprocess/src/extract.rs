//! Some images through decoding and the backbone: what each thread of the pipeline does.

use artifacts::images::ImageRow;
use artifacts::manifest::Warning;
use images::ImageSource;
use imaging::Transform;

use crate::engine::{EngineError, Halves, Worker};
use crate::parts::{Batch, Extracted};

/// A batch as the network wants it.
pub(crate) struct Pixels {
    pub(crate) batch: Batch,
    /// `[batch size × 3 × side × side]`, nothing for a batch without images, zeros where there is no image, or none that can be read. The batch is always filled
    /// up: an image's features must not depend on its neighbours.
    values: Vec<f32>,
    /// Why an image cannot be read.
    skipped: Vec<Option<Warning>>,
    /// Bytes of the image files.
    pub(crate) bytes: usize,
}

/// How image files become what the network takes. Threads share it.
pub(crate) struct Decoder {
    pub(crate) transform: Transform,
    /// Images in one batch: few on a CPU, where the activations should stay in cache.
    pub(crate) at_once: usize,
    /// What reads the images.
    pub(crate) source: ImageSource,
}

impl Decoder {
    /// Reads, decodes and normalises a batch.
    pub(crate) fn decode(&self, batch: Batch) -> Pixels {
        let numbers = 3 * (self.transform.crop as usize).pow(2);
        let filled = if batch.places.is_empty() { 0 } else { self.at_once };
        let mut values = vec![0.0; filled * numbers];
        let (mut skipped, mut bytes) = (Vec::new(), 0);
        for (&place, values) in batch.places.iter().zip(values.chunks_mut(numbers)) {
            let image = batch.part.image(place);
            skipped.push(match self.square(image, values) {
                Ok(read) => {
                    bytes += read;
                    None
                }
                Err(error) => Some(Warning {
                    subject: image.locator().to_string(),
                    reason: format!("skipped: {error:#}"),
                }),
            });
        }
        Pixels { batch, values, skipped, bytes }
    }

    /// An image file as the backbone wants it; returns the file's size.
    fn square(&self, image: &ImageRow, out: &mut [f32]) -> anyhow::Result<usize> {
        let bytes = self.source.image(image)?;
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
    if pixels.batch.places.is_empty() {
        return Ok(Vec::new());
    }
    let Halves { grids, pooled } = network.features(&pixels.values)?;
    let rows = pooled.chunks(pooled.len() / at_once).zip(grids.chunks(grids.len() / at_once));
    let results = pixels.skipped.iter().zip(rows).map(|(skipped, (pooled, grid))| match skipped {
        Some(warning) => Err(warning.clone()),
        None => Ok(Extracted { pooled: pooled.to_vec(), grid: grid.to_vec() }),
    });
    Ok(results.collect())
}
