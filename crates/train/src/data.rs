//! Train images with their captions, and the padded batches made of them.

use std::cmp::Reverse;
use std::collections::HashMap;

use artifacts::tokens::TokenRow;
use metrics::Tokens;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};
use torch::grids::{GridError, GridStore, tensor};
use torch::teaching::Captions;

use crate::reward::ended;

const BATCHES_A_POOL: usize = 16;
/// A caption with one of these words is not true of the mirror image.
const SIDED: [&str; 2] = ["left", "right"];

/// The images of a split with features and captions both.
pub(crate) struct Examples {
    features: GridStore,
    /// Features of the same images seen in a mirror, and where each of `images` is there.
    mirrored: Option<(GridStore, Vec<usize>)>,
    images: Vec<Example>,
}

struct Example {
    /// Index into `features`.
    feature: usize,
    captions: Vec<Caption>,
}

struct Caption {
    ids: Vec<u32>,
    /// The words as metrics see them, with their end; nothing where no reward is taken.
    words: Tokens,
    sided: bool,
}

/// An image of a batch, as it is or seen in a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    image: usize,
    mirrored: bool,
}

/// Some images, each with all its captions, longest first; images with fewer captions are filled up with padding.
pub(crate) struct Batch {
    /// The images.
    pub(crate) picks: Vec<Pick>,
    /// `[images, regions, channels]`.
    pub(crate) grid: Tensor,
    /// The captions.
    pub(crate) captions: Captions,
    /// Tokens of the captions that are to be written.
    pub(crate) tokens: usize,
}

impl Examples {
    /// Joins features and captions by image; images that lack either are left out. `mirrored` holds features of the same
    /// images seen in a mirror; `with_words` keeps the words, which rewards compare.
    pub(crate) fn new(
        features: GridStore,
        mirrored: Option<GridStore>,
        captions: impl Iterator<Item = anyhow::Result<TokenRow>>,
        with_words: bool,
    ) -> anyhow::Result<Examples> {
        let mut by_image: HashMap<String, Vec<Caption>> = HashMap::new();
        for row in captions {
            let TokenRow { image_id, words, mut ids, .. } = row?;
            if ids.is_empty() {
                continue;
            }
            let sided = words.iter().any(|word| SIDED.contains(&word.as_str()));
            let words = if with_words { ended(words) } else { Tokens::new() };
            // Of a million images with a caption each, room for more would be most of what is kept.
            ids.shrink_to_fit();
            by_image.entry(image_id).or_insert_with(|| Vec::with_capacity(1)).push(Caption {
                ids,
                words,
                sided,
            });
        }
        // What has ended costs nothing where the longest caption stands first.
        by_image.values_mut().for_each(|captions| captions.sort_by_key(|caption| Reverse(caption.ids.len())));
        let places = mirrored.as_ref().map(GridStore::index);
        let mut images = Vec::new();
        let mut twins = Vec::new();
        for (feature, id) in features.image_ids().iter().enumerate() {
            let twin = places.as_ref().map(|places| places.get(id.as_str()).copied());
            if let Some(captions) = by_image.remove(id.as_str())
                && twin != Some(None)
            {
                images.push(Example { feature, captions });
                twins.extend(twin.flatten());
            }
        }
        drop(places);
        Ok(Examples { features, mirrored: mirrored.map(|store| (store, twins)), images })
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }

    /// The references of every image, as metrics see them.
    pub(crate) fn all_references(&self) -> Vec<Vec<Tokens>> {
        (0..self.len()).map(|image| self.references(Pick { image, mirrored: false })).collect()
    }

    /// The references of one image.
    pub(crate) fn references(&self, pick: Pick) -> Vec<Tokens> {
        self.captions(pick).map(|caption| caption.words.clone()).collect()
    }

    /// The captions that are true of an image.
    fn captions(&self, pick: Pick) -> impl Iterator<Item = &Caption> {
        self.images[pick.image].captions.iter().filter(move |caption| !(pick.mirrored && caption.sided))
    }

    /// The images of every batch of an epoch, decided by `seed` and `epoch` alone.
    ///
    /// Images are shuffled, sorted by their longest caption within pools of several batches, so that little of a batch
    /// is padding, and the batches are shuffled again. Where there are mirror images, each is taken half of the time.
    pub(crate) fn shuffled(&self, batch_images: usize, seed: u64, epoch: usize) -> Vec<Vec<Pick>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(epoch as u64 + 1);
        let mut order: Vec<usize> = (0..self.images.len()).collect();
        order.shuffle(&mut random);
        for pool in order.chunks_mut(BATCHES_A_POOL * batch_images) {
            pool.sort_by_key(|&image| {
                self.images[image].captions.iter().map(|caption| caption.ids.len()).max()
            });
        }
        let mut pick = |&image: &usize| {
            let all_sided = || self.images[image].captions.iter().all(|caption| caption.sided);
            let mirrored = self.mirrored.is_some() && random.random() && !all_sided();
            Pick { image, mirrored }
        };
        let mut batches: Vec<Vec<Pick>> =
            order.chunks(batch_images).map(|images| images.iter().map(&mut pick).collect()).collect();
        batches.shuffle(&mut random);
        batches
    }

    /// The batch of some images.
    pub(crate) fn batch(&self, picks: &[Pick], device: Device) -> Result<Batch, GridError> {
        let captions: Vec<Vec<&[u32]>> = picks
            .iter()
            .map(|&pick| self.captions(pick).map(|caption| caption.ids.as_slice()).collect())
            .collect();
        Ok(Batch {
            grid: self.grid(picks, device)?,
            tokens: captions.iter().flatten().map(|ids| ids.len() - 1).sum(),
            captions: Captions::new(&captions, device),
            picks: picks.to_vec(),
        })
    }

    fn grid(&self, picks: &[Pick], device: Device) -> Result<Tensor, GridError> {
        let mut grids = Vec::new();
        for pick in picks {
            let (store, index) = match &self.mirrored {
                Some((store, places)) if pick.mirrored => (store, places[pick.image]),
                _ => (&self.features, self.images[pick.image].feature),
            };
            store.append(index, &mut grids)?;
        }
        Ok(tensor(self.features.join(), &grids, device)?)
    }
}

#[cfg(test)]
mod tests {
    use artifacts::Split;
    use artifacts::features::FeatureSpec;
    use half::f16;
    use tch::Kind;

    use super::*;

    fn examples(with_mirror: bool) -> Examples {
        let spec = FeatureSpec {
            backbone: "tiny".to_owned(),
            view: Default::default(),
            weights: Default::default(),
            weights_sha256: String::new(),
            onnx: None,
            transform: serde_json::Value::Null,
            grid: [1, 2],
            channels: 1,
        };
        let ids = ["a", "b", "unused"].map(str::to_owned).to_vec();
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(f16::from_f32).to_vec();
        let twins = ["b", "a"].map(str::to_owned).to_vec();
        let mirrored = [4.0, 3.0, 2.0, 1.0].map(f16::from_f32).to_vec();
        let mirrored = with_mirror.then(|| GridStore::resident(spec.clone(), twins, mirrored));
        let features = GridStore::resident(spec, ids, values);
        let row = |image_id: &str, caption_id: u64, words: &str, ids: &[u32]| TokenRow {
            image_id: image_id.to_owned(),
            caption_id,
            split: Split::Train,
            words: words.split_whitespace().map(str::to_owned).collect(),
            ids: ids.to_vec(),
            length: ids.len() as u32,
        };
        let captions = [
            row("a", 0, "left", &[1, 7, 2]),
            row("b", 0, "to the right", &[1, 8, 9, 2]),
            row("a", 1, "up", &[1, 6, 2]),
            row("a", 2, "", &[]),
        ];
        Examples::new(features, mirrored, captions.into_iter().map(Ok), true).unwrap()
    }

    #[test]
    fn a_batch_is_padded_to_the_longest_caption_and_the_most_captions() {
        let picks = [0, 1].map(|image| Pick { image, mirrored: false });
        let batch = examples(false).batch(&picks, Device::Cpu).unwrap();
        let captions = &batch.captions;
        let ids = |tensor: &Tensor| Vec::<i64>::try_from(tensor.flatten(0, -1)).unwrap();
        assert_eq!(captions.input.size(), [2, 2, 3]);
        assert_eq!(ids(&captions.input), [1, 7, 0, 1, 6, 0, 1, 8, 9, 0, 0, 0]);
        assert_eq!(ids(&captions.target), [7, 2, 0, 6, 2, 0, 8, 9, 2, 0, 0, 0]);
        assert_eq!(ids(&captions.mask.to_kind(Kind::Int64)), [1, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0]);
        assert_eq!(batch.tokens, 7);
        assert_eq!(ids(&batch.grid.to_kind(Kind::Int64)), [1, 2, 3, 4]);
    }

    #[test]
    fn a_mirror_image_has_other_features_and_no_captions_of_sides() {
        let examples = examples(true);
        let picks: Vec<Pick> = (0..40).flat_map(|epoch| examples.shuffled(2, 7, epoch).concat()).collect();
        // All captions of b name a side.
        assert!(picks.iter().all(|pick| pick.image == 0 || !pick.mirrored));
        let mirrored = picks.iter().filter(|pick| pick.mirrored).count();
        assert!((10..30).contains(&mirrored), "{mirrored}");
        let batch = examples.batch(&[Pick { image: 0, mirrored: true }], Device::Cpu).unwrap();
        assert_eq!(Vec::<f32>::try_from(batch.grid.flatten(0, -1)).unwrap(), [2.0, 1.0]);
        assert_eq!(Vec::<i64>::try_from(batch.captions.target.flatten(0, -1)).unwrap(), [6, 2]);
    }

    #[test]
    fn every_epoch_sees_every_image_once_in_an_order_of_its_own() {
        let examples = examples(false);
        let order = |epoch| -> Vec<usize> {
            examples.shuffled(1, 7, epoch).concat().iter().map(|pick| pick.image).collect()
        };
        assert_eq!(order(0), order(0));
        let mut orders: Vec<_> = (0..20).map(order).collect();
        assert!(orders.iter().any(|other| *other != orders[0]));
        assert!(orders.iter_mut().all(|order| {
            order.sort_unstable();
            *order == [0, 1]
        }));
    }
}
