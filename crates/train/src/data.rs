//! Train images with their captions, and the padded batches made of them.

use std::collections::HashMap;

use artifacts::features::{FeatureError, FeatureStore};
use artifacts::tokens::TokenRow;
use artifacts::vocabulary::PAD;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

const BATCHES_A_POOL: usize = 16;

/// The images of a split with features and captions both.
pub(crate) struct Examples {
    features: FeatureStore,
    /// Index into `features`, and the captions' ids.
    images: Vec<(usize, Vec<Vec<u32>>)>,
}

/// Some images, each with all its captions; images with fewer captions are filled up with padding.
pub(crate) struct Batch {
    /// `[images, regions, channels]`.
    pub(crate) grid: Tensor,
    /// What the decoder reads, `<bos>` first, padded: `[images, captions, steps]`.
    pub(crate) input: Tensor,
    /// What it should write, `<eos>` last, padded: `[images × captions, steps]`.
    pub(crate) target: Tensor,
    /// 1 where `target` is no padding: `[images × captions, steps]`.
    pub(crate) mask: Tensor,
    /// Tokens of `target` that are no padding.
    pub(crate) tokens: usize,
}

impl Examples {
    /// Joins features and captions by image; images that lack either are left out.
    pub(crate) fn new(features: FeatureStore, tokens: &[TokenRow]) -> Examples {
        let mut captions: HashMap<&str, Vec<Vec<u32>>> = HashMap::new();
        for row in tokens {
            captions.entry(&row.image_id).or_default().push(row.ids.clone());
        }
        let ids = features.image_ids().iter().enumerate();
        let images = ids.filter_map(|(index, id)| Some((index, captions.remove(id.as_str())?))).collect();
        Examples { features, images }
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }

    /// The image numbers of every batch of an epoch, decided by `seed` and `epoch` alone.
    ///
    /// Images are shuffled, sorted by their longest caption within pools of several batches, so that little of a batch
    /// is padding, and the batches are shuffled again.
    pub(crate) fn shuffled(&self, batch_images: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.images.len()).collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(epoch as u64 + 1);
        order.shuffle(&mut random);
        for pool in order.chunks_mut(BATCHES_A_POOL * batch_images) {
            pool.sort_by_key(|&number| self.images[number].1.iter().map(Vec::len).max());
        }
        let mut batches: Vec<_> = order.chunks(batch_images).map(<[usize]>::to_vec).collect();
        batches.shuffle(&mut random);
        batches
    }

    /// The batch of some image numbers.
    pub(crate) fn batch(&self, numbers: &[usize], device: Device) -> Result<Batch, FeatureError> {
        let images: Vec<_> = numbers.iter().map(|&number| &self.images[number]).collect();
        let features: Vec<usize> = images.iter().map(|image| image.0).collect();
        let captions = images.iter().map(|image| image.1.len()).max().unwrap_or(0);
        let words = || images.iter().flat_map(|image| &image.1);
        let steps = words().map(|ids| ids.len() - 1).max().unwrap_or(0);
        let padded = |from: usize| {
            let mut ids = vec![i64::from(PAD); images.len() * captions * steps];
            let mut rows = ids.chunks_mut(steps);
            for image in &images {
                for (row, caption) in rows.by_ref().take(captions).zip(&image.1) {
                    let words = &caption[from..caption.len() - 1 + from];
                    row.iter_mut().zip(words).for_each(|(place, &id)| *place = i64::from(id));
                }
            }
            Tensor::from_slice(&ids).view([(images.len() * captions) as i64, steps as i64]).to_device(device)
        };
        let target = padded(1);
        Ok(Batch {
            grid: grid(&self.features, &features, device)?,
            input: padded(0).view([images.len() as i64, captions as i64, steps as i64]),
            mask: target.ne(i64::from(PAD)).to_kind(Kind::Float),
            target,
            tokens: words().map(|ids| ids.len() - 1).sum(),
        })
    }
}

/// The grids of some images as one tensor `[images, regions, channels]` in single precision.
pub(crate) fn grid(
    features: &FeatureStore,
    images: &[usize],
    device: Device,
) -> Result<Tensor, FeatureError> {
    let grids = features.read(images)?;
    let shape = [images.len() as i64, features.regions() as i64, features.channels() as i64];
    Ok(Tensor::from_slice(&grids).view(shape).to_device(device).to_kind(Kind::Float))
}

#[cfg(test)]
mod tests {
    use artifacts::Split;
    use artifacts::features::FeatureSpec;
    use half::f16;

    use super::*;

    fn examples() -> Examples {
        let spec = FeatureSpec {
            backbone: "tiny".to_owned(),
            view: Default::default(),
            weights_sha256: String::new(),
            transform: serde_json::Value::Null,
            grid: [1, 2],
            channels: 1,
        };
        let ids = ["a", "b", "unused"].map(str::to_owned).to_vec();
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(f16::from_f32).to_vec();
        let features = FeatureStore::resident(spec, ids, values);
        let row = |image_id: &str, ids: &[u32]| TokenRow {
            image_id: image_id.to_owned(),
            caption_id: 0,
            split: Split::Train,
            ids: ids.to_vec(),
            length: ids.len() as u32,
        };
        Examples::new(features, &[row("a", &[1, 7, 2]), row("b", &[1, 8, 9, 2]), row("a", &[1, 6, 2])])
    }

    #[test]
    fn a_batch_is_padded_to_the_longest_caption_and_the_most_captions() {
        let batch = examples().batch(&[0, 1], Device::Cpu).unwrap();
        let ids = |tensor: &Tensor| Vec::<i64>::try_from(tensor.flatten(0, -1)).unwrap();
        assert_eq!(batch.input.size(), [2, 2, 3]);
        assert_eq!(ids(&batch.input), [1, 7, 0, 1, 6, 0, 1, 8, 9, 0, 0, 0]);
        assert_eq!(ids(&batch.target), [7, 2, 0, 6, 2, 0, 8, 9, 2, 0, 0, 0]);
        assert_eq!(ids(&batch.mask.to_kind(Kind::Int64)), [1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0]);
        assert_eq!(batch.tokens, 7);
        assert_eq!(ids(&batch.grid.to_kind(Kind::Int64)), [1, 2, 3, 4]);
    }

    #[test]
    fn every_epoch_sees_every_image_once_in_an_order_of_its_own() {
        let examples = examples();
        let order = |epoch| examples.shuffled(1, 7, epoch).concat();
        assert_eq!(order(0), order(0));
        let mut orders: Vec<_> = (0..20).map(order).collect();
        assert!(orders.iter().any(|other| *other != orders[0]));
        assert!(orders.iter_mut().all(|order| {
            order.sort_unstable();
            *order == [0, 1]
        }));
    }
}
