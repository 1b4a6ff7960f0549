//! The captioned images of a split, and which words people used of each.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use artifacts::Split;
use artifacts::images::ImageRow;
use artifacts::tokens::TokenRow;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tch::{Device, TchError, Tensor};

/// A caption with one of these words is not true of the mirror image.
const SIDED: [&str; 2] = ["left", "right"];

/// Images with captions, in the order of the dataset.
pub(crate) struct Examples {
    pub(crate) images: Vec<Example>,
}

/// An image and what people said of it.
pub(crate) struct Example {
    pub(crate) row: ImageRow,
    /// The words of the head that its captions hold, each with the share of captions that do.
    words: BTreeMap<usize, f32>,
    /// Its captions' ids from `<bos>` to `<eos>`, the longest first.
    captions: Vec<Vec<u32>>,
    /// Whether a caption is untrue of its mirror image.
    pub(crate) sided: bool,
}

impl Examples {
    /// The images of a split that have captions; `words` are those of the head.
    pub(crate) fn new(
        images: &[ImageRow],
        split: Split,
        captions: &[TokenRow],
        words: &[String],
    ) -> Examples {
        let places: HashMap<&str, usize> =
            words.iter().enumerate().map(|(place, word)| (word.as_str(), place)).collect();
        let mut by_image: HashMap<&str, Vec<&TokenRow>> = HashMap::new();
        for row in captions.iter().filter(|row| row.split == split && !row.ids.is_empty()) {
            by_image.entry(&row.image_id).or_default().push(row);
        }
        let example = |row: &ImageRow| {
            let captions = by_image.get(row.image_id.as_str())?;
            Some(Example::new(row, captions, &places))
        };
        Examples { images: images.iter().filter(|row| row.split == split).filter_map(example).collect() }
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }

    /// The images of every batch of an epoch, decided by `seed` and `epoch` alone.
    pub(crate) fn shuffled(&self, batch_images: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(epoch as u64 + 1);
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(&mut random);
        order.chunks(batch_images).map(<[usize]>::to_vec).collect()
    }

    /// Share of an image's captions that hold a word of the head.
    pub(crate) fn share(&self, image: usize, word: usize) -> f32 {
        self.images[image].words.get(&word).copied().unwrap_or(0.0)
    }

    /// Those shares for some images: f32 `[images, words]`.
    pub(crate) fn shares(&self, images: &[usize], words: usize, device: Device) -> Result<Tensor, TchError> {
        let mut shares = vec![0.0f32; images.len() * words];
        for (&image, row) in images.iter().zip(shares.chunks_mut(words.max(1))) {
            self.images[image].words.iter().for_each(|(&word, &share)| row[word] = share);
        }
        Tensor::f_from_slice(&shares)?.f_view([images.len() as i64, words as i64])?.f_to_device(device)
    }

    /// The captions of some images.
    pub(crate) fn captions(&self, images: &[usize]) -> Vec<Vec<&[u32]>> {
        let of = |&image: &usize| self.images[image].captions.iter().map(Vec::as_slice).collect();
        images.iter().map(of).collect()
    }

    /// The mean share of each word.
    pub(crate) fn mean_shares(&self, words: usize) -> Vec<f64> {
        let mut means = vec![0.0; words];
        for (&word, &share) in self.images.iter().flat_map(|image| &image.words) {
            means[word] += f64::from(share) / self.len() as f64;
        }
        means
    }
}

impl Example {
    fn new(row: &ImageRow, captions: &[&TokenRow], places: &HashMap<&str, usize>) -> Example {
        let mut words: BTreeMap<usize, f32> = BTreeMap::new();
        for caption in captions {
            let mut held: Vec<usize> =
                caption.words.iter().filter_map(|word| places.get(word.as_str()).copied()).collect();
            held.sort_unstable();
            held.dedup();
            held.into_iter().for_each(|word| *words.entry(word).or_default() += 1.0);
        }
        words.values_mut().for_each(|share| *share /= captions.len() as f32);
        let sided =
            captions.iter().flat_map(|caption| &caption.words).any(|word| SIDED.contains(&word.as_str()));
        let mut ids: Vec<Vec<u32>> = captions.iter().map(|caption| caption.ids.clone()).collect();
        ids.sort_by_key(|ids| Reverse(ids.len()));
        Example { row: row.clone(), words, captions: ids, sided }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Examples {
        let row = |id: &str, split| ImageRow {
            image_id: id.to_owned(),
            path: format!("{id}.png"),
            offset: None,
            length: None,
            row: None,
            split,
            width: 8,
            height: 8,
            content_hash: String::new(),
        };
        let images =
            [row("a", Split::Train), row("b", Split::Val), row("c", Split::Train), row("d", Split::Train)];
        let caption = |id: &str, split, words: &str| TokenRow {
            image_id: id.to_owned(),
            caption_id: 0,
            split,
            words: words.split(' ').map(str::to_owned).collect(),
            ids: vec![1, 2],
            length: 2,
        };
        let captions = [
            caption("a", Split::Train, "a dog and a dog"),
            caption("a", Split::Train, "the dog on the left"),
            caption("b", Split::Val, "a cat"),
            caption("c", Split::Train, "a zebra"),
        ];
        Examples::new(&images, Split::Train, &captions, &["a", "dog", "cat"].map(str::to_owned))
    }

    #[test]
    fn shares_count_captions_and_not_words() {
        let examples = examples();
        assert_eq!(examples.len(), 2, "an image of another split and one without captions are left out");
        let shares = examples.shares(&[0, 1], 3, Device::Cpu).unwrap();
        assert_eq!(Vec::<Vec<f32>>::try_from(shares).unwrap(), [[0.5, 1.0, 0.0], [1.0, 0.0, 0.0]]);
        assert_eq!(examples.mean_shares(3), [0.75, 0.5, 0.0]);
        assert_eq!(examples.share(0, 1), 1.0);
        assert!(examples.images[0].sided && !examples.images[1].sided);
    }

    #[test]
    fn an_epoch_holds_each_image_once() {
        let examples = examples();
        let flat = |epoch| -> Vec<usize> {
            let mut images = examples.shuffled(1, 3, epoch).concat();
            images.sort_unstable();
            images
        };
        assert_eq!(flat(0), [0, 1]);
        assert_eq!(examples.shuffled(2, 3, 0), examples.shuffled(2, 3, 0));
    }
}
