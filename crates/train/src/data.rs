//! Train images in memory, and the padded batches made of them.

use std::collections::HashMap;

use artifacts::features::FeatureSet;
use artifacts::tokens::TokenRow;
use artifacts::vocabulary::PAD;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

/// The images of a split with features and captions both.
pub(crate) struct Examples {
    features: FeatureSet,
    /// Index into `features`, and the captions' ids.
    images: Vec<(usize, Vec<Vec<u32>>)>,
}

/// Some images, each with all its captions.
pub(crate) struct Batch {
    /// `[images, regions, channels]`.
    pub(crate) grid: Tensor,
    /// Row of `grid` that each caption describes: `[captions]`.
    pub(crate) image_of_caption: Tensor,
    /// What the decoder reads, `<bos>` first, padded: `[captions, steps]`.
    pub(crate) input: Tensor,
    /// What it should write, `<eos>` last, padded: `[captions, steps]`.
    pub(crate) target: Tensor,
    /// 1 where `target` is no padding: `[captions, steps]`.
    pub(crate) mask: Tensor,
    /// Tokens of `target` that are no padding.
    pub(crate) tokens: usize,
}

impl Examples {
    /// Joins features and captions by image; images that lack either are left out.
    pub(crate) fn new(features: FeatureSet, tokens: &[TokenRow]) -> Examples {
        let mut captions: HashMap<&str, Vec<Vec<u32>>> = HashMap::new();
        for row in tokens {
            captions.entry(&row.image_id).or_default().push(row.ids.clone());
        }
        let ids = features.image_ids.iter().enumerate();
        let images = ids.filter_map(|(index, id)| Some((index, captions.remove(id.as_str())?))).collect();
        Examples { features, images }
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }

    /// The image numbers of every batch of an epoch: shuffled by `seed` and `epoch` alone.
    pub(crate) fn shuffled(&self, batch_images: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.images.len()).collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(epoch as u64 + 1);
        order.shuffle(&mut random);
        order.chunks(batch_images).map(<[usize]>::to_vec).collect()
    }

    /// The batch of some image numbers.
    pub(crate) fn batch(&self, numbers: &[usize], device: Device) -> Batch {
        let images: Vec<_> = numbers.iter().map(|&number| &self.images[number]).collect();
        let features: Vec<usize> = images.iter().map(|image| image.0).collect();
        let captions: Vec<(i64, &[u32])> = (0..)
            .zip(&images)
            .flat_map(|(row, image)| image.1.iter().map(move |ids| (row, ids.as_slice())))
            .collect();
        let steps = captions.iter().map(|(_, ids)| ids.len() - 1).max().unwrap_or(0);
        let padded = |from: usize| {
            let mut ids = vec![i64::from(PAD); captions.len() * steps];
            for (row, (_, caption)) in captions.iter().enumerate() {
                let words = &caption[from..caption.len() - 1 + from];
                for (position, &id) in words.iter().enumerate() {
                    ids[row * steps + position] = i64::from(id);
                }
            }
            Tensor::from_slice(&ids).view([captions.len() as i64, steps as i64]).to_device(device)
        };
        let rows: Vec<i64> = captions.iter().map(|(row, _)| *row).collect();
        let target = padded(1);
        Batch {
            grid: grid(&self.features, &features, device),
            image_of_caption: Tensor::from_slice(&rows).to_device(device),
            input: padded(0),
            mask: target.ne(i64::from(PAD)).to_kind(Kind::Float),
            target,
            tokens: captions.iter().map(|(_, ids)| ids.len() - 1).sum(),
        }
    }
}

/// The grids of some images as one tensor `[images, regions, channels]` in single precision.
pub(crate) fn grid(features: &FeatureSet, indices: &[usize], device: Device) -> Tensor {
    let grids: Vec<_> = indices.iter().map(|&index| features.grid(index)).collect();
    let shape = [indices.len() as i64, features.spec.regions() as i64, features.spec.channels as i64];
    Tensor::from_slice(&grids.concat()).view(shape).to_device(device).to_kind(Kind::Float)
}
