//! Train images with their captions, and the padded batches made of them.

use std::fs::File;

use anyhow::Context as _;
use artifacts::tokens::TokenRow;
use metrics::Tokens;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};
use torch::grids::{GridStore, tensor};
use torch::teaching::Captions;

use crate::captions::{Caption, CaptionFile, CaptionWriter};

const BATCHES_A_POOL: usize = 16;
const CANNOT_WRITE: &str = "cannot write the captions into a file of this training";
const CANNOT_READ: &str = "cannot read the captions from the file of this training";

/// The images of a split with features and captions both. Grids that memory has no room for, and all captions, are read as
/// they are needed: beside what [`GridStore`] keeps, 16 bytes a caption and 4 an image are in memory.
pub struct Examples {
    features: GridStore,
    /// Features of the same images seen in a mirror, and where each of `images` is there.
    mirrored: Option<(GridStore, Vec<u32>)>,
    captions: CaptionFile,
    /// The first caption of each image, which knows where the image is among the features.
    images: Vec<u32>,
}

/// An image of a batch, as it is or seen in a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    image: u32,
    mirrored: bool,
}

/// Some images, each with all its captions, longest first; images with fewer captions are filled up with padding.
pub struct Batch {
    /// The images.
    pub picks: Vec<Pick>,
    /// `[images, regions, channels]`.
    pub grid: Tensor,
    /// The captions.
    pub captions: Captions,
    /// Tokens of the captions that are to be written.
    pub tokens: usize,
}

impl Examples {
    /// Joins features and captions by image; images that lack either are left out. `mirrored` holds features of the same
    /// images seen in a mirror. The captions are kept in `file`, which is empty; with their words, which rewards compare, if
    /// `with_words` says so.
    ///
    /// # Errors
    ///
    /// Those of the captions, and when the disk has no room for them.
    pub fn new(
        mut features: GridStore,
        mut mirrored: Option<GridStore>,
        captions: impl Iterator<Item = anyhow::Result<TokenRow>>,
        file: File,
        with_words: bool,
    ) -> anyhow::Result<Examples> {
        let index = features.take_index();
        let mut writer = CaptionWriter::new(file, with_words);
        for row in captions {
            let row = row?;
            if let Some(image) = index.get(&row.image_id)
                && !row.ids.is_empty()
            {
                writer.add(image, row).context(CANNOT_WRITE)?;
            }
        }
        let captions = writer.finish().context(CANNOT_WRITE)?;
        let places = mirrored.as_mut().map(|store| index.rows_in(&store.take_index()));
        drop(index);
        let (mut images, mut twins) = (Vec::new(), Vec::new());
        let mut first = 0;
        for of_image in captions.captions().chunk_by(|a, b| a.image == b.image) {
            let twin = places.as_ref().map(|places| places[of_image[0].image as usize]);
            if twin != Some(None) {
                images.push(first);
                twins.extend(twin.flatten());
            }
            first += of_image.len() as u32;
        }
        Ok(Examples { features, mirrored: mirrored.map(|store| (store, twins)), captions, images })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The references of every image, as metrics see them, read one image after the other.
    pub(crate) fn all_references(&self) -> impl Iterator<Item = anyhow::Result<Vec<Tokens>>> {
        (0..self.len() as u32).map(|image| self.references(Pick { image, mirrored: false }))
    }

    /// The references of one image.
    pub(crate) fn references(&self, pick: Pick) -> anyhow::Result<Vec<Tokens>> {
        self.true_of(pick).map(|caption| self.captions.words(caption).context(CANNOT_READ)).collect()
    }

    /// Words to write, ends among them, of all captions of one image.
    pub(crate) fn words(&self, pick: Pick) -> usize {
        self.true_of(pick).map(|caption| caption.len() - 1).sum()
    }

    /// The captions of an image, the longest first.
    fn captions(&self, image: u32) -> &[Caption] {
        let of_it = &self.captions.captions()[self.images[image as usize] as usize..];
        let count = of_it.iter().take_while(|caption| caption.image == of_it[0].image).count();
        &of_it[..count]
    }

    /// Those that are true of it as it is seen.
    fn true_of(&self, pick: Pick) -> impl Iterator<Item = Caption> {
        let captions = self.captions(pick.image).iter().copied();
        captions.filter(move |caption| !(pick.mirrored && caption.is_sided()))
    }

    /// The images of every batch of an epoch, decided by `seed` and `epoch` alone.
    ///
    /// Images are shuffled, sorted by their longest caption within pools of several batches, so that little of a batch
    /// is padding, and the batches are shuffled again. Where there are mirror images, each is taken half of the time.
    pub fn shuffled(&self, batch_images: usize, seed: u64, epoch: usize) -> Vec<Vec<Pick>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(epoch as u64 + 1);
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.shuffle(&mut random);
        for pool in order.chunks_mut(BATCHES_A_POOL * batch_images) {
            pool.sort_by_key(|&image| self.captions(image)[0].len());
        }
        let mut pick = |&image: &u32| {
            let all_sided = || self.captions(image).iter().all(|caption| caption.is_sided());
            let mirrored = self.mirrored.is_some() && random.random() && !all_sided();
            Pick { image, mirrored }
        };
        let mut batches: Vec<Vec<Pick>> =
            order.chunks(batch_images).map(|images| images.iter().map(&mut pick).collect()).collect();
        batches.shuffle(&mut random);
        batches
    }

    /// The batch of some images.
    ///
    /// # Errors
    ///
    /// When the features are damaged, the disk refuses, or the device has no room.
    pub fn batch(&self, picks: &[Pick], device: Device) -> anyhow::Result<Batch> {
        let ids = |caption| self.captions.ids(caption).context(CANNOT_READ);
        let of_image = |&pick| self.true_of(pick).map(ids).collect();
        let captions: Vec<Vec<Vec<u32>>> = picks.iter().map(of_image).collect::<anyhow::Result<_>>()?;
        Ok(Batch {
            grid: self.grid(picks, device)?,
            tokens: captions.iter().flatten().map(|ids| ids.len() - 1).sum(),
            captions: Captions::new(&captions, device),
            picks: picks.to_vec(),
        })
    }

    fn grid(&self, picks: &[Pick], device: Device) -> anyhow::Result<Tensor> {
        let mut grids = Vec::new();
        for pick in picks {
            let (store, index) = match &self.mirrored {
                Some((store, places)) if pick.mirrored => (store, places[pick.image as usize]),
                _ => (&self.features, self.captions(pick.image)[0].image),
            };
            store.append(index as usize, &mut grids)?;
        }
        Ok(tensor(self.features.join(), &grids, device)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use artifacts::features::{
        Dtype, FeatureKey, FeatureRow, FeatureSet, FeatureSpec, part_file, write_part,
    };
    use artifacts::manifest::{Manifest, Output};
    use artifacts::{Recipe, Split};
    use half::f16;
    use tch::Kind;

    use super::*;

    fn spec() -> FeatureSpec {
        FeatureSpec {
            backbone: "tiny".to_owned(),
            view: Default::default(),
            weights: Default::default(),
            weights_sha256: String::new(),
            onnx: None,
            transform: serde_json::Value::Null,
            grid: [1, 2],
            channels: 1,
        }
    }

    fn row(image_id: &str, caption_id: u64, words: &str, ids: &[u32]) -> TokenRow {
        TokenRow {
            image_id: image_id.to_owned(),
            caption_id,
            split: Split::Train,
            words: words.split_whitespace().map(str::to_owned).collect(),
            ids: ids.to_vec(),
            length: ids.len() as u32,
        }
    }

    fn joined(features: GridStore, mirrored: Option<GridStore>, captions: &[TokenRow]) -> Examples {
        let captions = captions.iter().cloned().map(Ok);
        Examples::new(features, mirrored, captions, tempfile::tempfile().unwrap(), true).unwrap()
    }

    /// Of the images a and b; those of a are not adjacent, and one image has captions alone, another features alone.
    fn captions() -> [TokenRow; 5] {
        [
            row("a", 0, "left", &[1, 7, 2]),
            row("b", 0, "to the right", &[1, 8, 9, 2]),
            row("absent", 0, "left", &[1, 7, 8, 9, 2]),
            row("a", 1, "up", &[1, 6, 2]),
            row("a", 2, "", &[]),
        ]
    }

    fn examples(mirrored: Option<&[&str]>) -> Examples {
        let store = |ids: &[&str], values: &[f32]| {
            let ids = ids.iter().map(|&id| id.to_owned()).collect();
            GridStore::resident(spec(), ids, values.iter().map(|&value| f16::from_f32(value)).collect())
        };
        let features = store(&["a", "b", "unused"], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mirrored = mirrored.map(|ids| store(ids, &[4.0, 3.0, 2.0, 1.0][..2 * ids.len()]));
        joined(features, mirrored, &captions())
    }

    #[test]
    fn a_batch_is_padded_to_the_longest_caption_and_the_most_captions() {
        let picks = [0, 1].map(|image| Pick { image, mirrored: false });
        let batch = examples(None).batch(&picks, Device::Cpu).unwrap();
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
        let examples = examples(Some(&["b", "a"]));
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
        let examples = examples(None);
        let order = |epoch| -> Vec<u32> {
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

    #[test]
    fn an_image_without_its_mirror_image_is_left_out() {
        let examples = examples(Some(&["a"]));
        assert_eq!((examples.len(), self::examples(None).len()), (1, 2));
        let batch = examples.batch(&[Pick { image: 0, mirrored: true }], Device::Cpu).unwrap();
        assert_eq!(Vec::<f32>::try_from(batch.grid.flatten(0, -1)).unwrap(), [4.0, 3.0]);
    }

    #[test]
    fn references_are_all_words_with_their_end() {
        let references = examples(None).all_references().collect::<anyhow::Result<Vec<_>>>().unwrap();
        let texts = references.iter().flatten().map(|words| words.join(" "));
        assert_eq!(texts.collect::<Vec<_>>(), ["left <eos>", "up <eos>", "to the right <eos>"]);
    }

    /// A finished set of `count` images whose grids count on, in parts of seven.
    fn write(folder: &Path, count: usize) {
        let recipe = Recipe::new("preprocess", 1, &"").unwrap();
        let row = |number: usize| FeatureRow {
            key: FeatureKey {
                image_id: number.to_string(),
                split: Split::Train,
                content_hash: String::new(),
            },
            pooled: vec![f16::ZERO],
            grid: [2 * number, 2 * number + 1].map(|value| f16::from_f32(value as f32)).to_vec(),
        };
        let rows: Vec<FeatureRow> = (0..count).map(row).collect();
        let part = |(number, rows): (usize, &[FeatureRow])| {
            let keys: Vec<FeatureKey> = rows.iter().map(|row| row.key.clone()).collect();
            let file = part_file(number, &recipe, &keys);
            write_part(&folder.join(&file), &spec(), Dtype::F16, rows, &[], &recipe, &keys).unwrap();
            Output { file, bytes: 0, rows: None, hash: String::new() }
        };
        let outputs = rows.chunks(7).enumerate().map(part).collect();
        let manifest = Manifest {
            fingerprint: String::new(),
            recipe: recipe.clone(),
            model: None,
            outputs,
            warnings: vec![],
            summary: Default::default(),
            seconds: 0.0,
        };
        manifest.write(folder).unwrap();
    }

    #[test]
    fn batches_are_the_same_from_memory_and_from_disk_on_one_thread_and_on_several() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 40);
        let captions: Vec<TokenRow> = (0..100u32)
            .map(|number| {
                row(
                    &(number % 37).to_string(),
                    number.into(),
                    "word",
                    &[1, 4 + number, 5, 2][number as usize % 2..],
                )
            })
            .collect();
        let [resident, read] = [u64::MAX, 0].map(|memory| {
            let set = FeatureSet::open(folder.path()).unwrap();
            let store = GridStore::open(vec![set], Split::Train, memory).unwrap();
            assert_eq!(store.is_resident(), memory > 0);
            joined(store, None, &captions)
        });
        let picks = resident.shuffled(8, 7, 0);
        assert!(picks == read.shuffled(8, 7, 0) && picks.concat().len() == 37);
        let batch = |examples: &Examples, picks: &[Pick]| -> (Vec<f32>, Vec<i64>) {
            let batch = examples.batch(picks, Device::Cpu).unwrap();
            let numbers = batch.grid.flatten(0, -1).try_into().unwrap();
            (numbers, batch.captions.target.flatten(0, -1).try_into().unwrap())
        };
        for picks in &picks {
            let wanted = batch(&resident, picks);
            assert_eq!(batch(&read, picks), wanted);
            std::thread::scope(|scope| {
                let halves = [&read, &read].map(|examples| scope.spawn(|| batch(examples, picks)));
                assert!(halves.into_iter().all(|half| half.join().unwrap() == wanted));
            });
        }
    }
}
