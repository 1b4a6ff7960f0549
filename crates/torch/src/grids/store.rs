//! The grids of one split, of one set or several joined: in memory when they fit, read by the page when not.

use artifacts::Split;
use artifacts::features::{FeatureError, FeatureSet, FeatureSpec, GridRows, ImageIndex};
use half::f16;
use model::grids::Join;
use tch::{Device, Tensor};

use super::{GridError, tensor};

/// The grids of the images of a split, random access.
pub struct GridStore {
    specs: Vec<FeatureSpec>,
    join: Join,
    index: ImageIndex,
    /// Number of images.
    len: usize,
    /// Where grids are read from, each set's in the order of the images; nothing when they are in memory.
    sets: Vec<GridRows>,
    /// Names of the sets without checksums.
    unchecked: Vec<String>,
    /// All grids, joined, when they fit: `[images × regions × channels]`.
    resident: Option<Vec<f16>>,
}

impl GridStore {
    /// Opens one split of finished sets; images must be in all of them.
    ///
    /// Up to `memory` bytes the grids are read at once and kept. Of each image that is not, some 24 bytes a set are in
    /// memory, and 20 for its id.
    ///
    /// # Errors
    ///
    /// When a set is damaged, or when no image of the split is in all of them.
    pub fn open(found: Vec<FeatureSet>, split: Split, memory: u64) -> Result<GridStore, FeatureError> {
        let opened = found.iter().map(|set| set.grids(split)).collect::<Result<Vec<_>, _>>()?;
        let (mut sets, indices): (Vec<GridRows>, Vec<ImageIndex>) = opened.into_iter().unzip();
        let index = in_all(&mut sets, indices);
        if index.is_empty() {
            let folder = found.first().map(|set| set.folder().to_owned()).unwrap_or_default();
            return Err(FeatureError::Empty { folder, split });
        }
        let without_sums = found.iter().zip(&sets).filter(|(_, grids)| !grids.is_checked());
        let unchecked = without_sums.map(|(set, _)| set.spec().name()).collect();
        let specs: Vec<FeatureSpec> = found.iter().map(|set| set.spec().clone()).collect();
        let join = Join::new(&specs);
        let len = index.len();
        let mut store = GridStore { specs, join, index, len, sets, unchecked, resident: None };
        let bytes = (store.len() * store.size() * size_of::<f16>()) as u64;
        if bytes <= memory {
            let all: Vec<usize> = (0..store.len()).collect();
            store.resident = Some(store.read(&all)?);
            store.sets = Vec::new();
        }
        Ok(store)
    }

    /// A store of one set in memory; `grids` holds `[images × regions × channels]` values, row-major.
    pub fn resident(spec: FeatureSpec, image_ids: Vec<String>, grids: Vec<f16>) -> GridStore {
        debug_assert_eq!(grids.len(), image_ids.len() * spec.regions() * spec.channels);
        let specs = vec![spec];
        GridStore {
            join: Join::new(&specs),
            specs,
            len: image_ids.len(),
            index: ImageIndex::new(image_ids),
            sets: vec![],
            unchecked: vec![],
            resident: Some(grids),
        }
    }

    /// What made each of the sets.
    pub fn specs(&self) -> &[FeatureSpec] {
        &self.specs
    }

    /// What whoever reads the sets should know: those without checksums, in which damage goes unseen.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let said =
            |set: &String| format!("features {set} carry no checksums: damage in them would go unseen");
        self.unchecked.iter().map(said)
    }

    /// How they become one.
    pub fn join(&self) -> &Join {
        &self.join
    }

    /// Where each image is, by its id.
    pub fn index(&self) -> &ImageIndex {
        &self.index
    }

    /// Takes the index out, for whoever is done with ids before it is done with grids.
    pub fn take_index(&mut self) -> ImageIndex {
        std::mem::take(&mut self.index)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True when the grids are in memory.
    pub fn is_resident(&self) -> bool {
        self.resident.is_some()
    }

    /// The grids of some images as a decoder reads them: f32 `[images, regions, channels]` on `device`.
    ///
    /// # Errors
    ///
    /// When the cache is damaged, or the device has no room.
    pub fn tensor(&self, images: &[usize], device: Device) -> Result<Tensor, GridError> {
        Ok(tensor(&self.join, &self.read(images)?, device)?)
    }

    /// The same as they are cached: `[images × regions × channels]`.
    ///
    /// # Errors
    ///
    /// When the cache is damaged.
    pub fn read(&self, images: &[usize]) -> Result<Vec<f16>, FeatureError> {
        let mut grids = Vec::with_capacity(images.len() * self.size());
        for &image in images {
            self.append(image, &mut grids)?;
        }
        Ok(grids)
    }

    /// Appends the grid of one image, `[regions × channels]`, to `out`.
    ///
    /// # Errors
    ///
    /// When the cache is damaged.
    pub fn append(&self, image: usize, out: &mut Vec<f16>) -> Result<(), FeatureError> {
        match (&self.resident, self.sets.as_slice()) {
            (Some(grids), _) => out.extend_from_slice(&grids[image * self.size()..(image + 1) * self.size()]),
            (None, [set]) => set.append(image, out)?,
            (None, sets) => {
                let mut grids = vec![Vec::new(); sets.len()];
                for (set, grid) in sets.iter().zip(&mut grids) {
                    set.append(image, grid)?;
                }
                self.join.append(&grids, out);
            }
        }
        Ok(())
    }

    /// Numbers of one grid.
    fn size(&self) -> usize {
        self.join.regions() * self.join.channels()
    }
}

/// Keeps in each set the images that are in all of them, in the order of the first, and says which these are.
fn in_all(sets: &mut [GridRows], indices: Vec<ImageIndex>) -> ImageIndex {
    let mut indices = indices.into_iter();
    let first = indices.next().unwrap_or_default();
    let others: Vec<Vec<Option<u32>>> = indices.map(|other| first.rows_in(&other)).collect();
    let (Some((own, sets)), false) = (sets.split_first_mut(), others.is_empty()) else { return first };
    let kept: Vec<u32> = (0..first.len() as u32)
        .filter(|&row| others.iter().all(|rows| rows[row as usize].is_some()))
        .collect();
    own.select(kept.iter().copied());
    for (set, rows) in sets.iter_mut().zip(&others) {
        set.select(kept.iter().filter_map(|&row| rows[row as usize]));
    }
    first.of_rows(&kept)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use artifacts::Recipe;
    use artifacts::features::{Dtype, FeatureKey, FeatureRow, part_file, write_part};
    use artifacts::manifest::{Manifest, Output};

    use super::*;

    fn spec(backbone: &str, grid: [usize; 2]) -> FeatureSpec {
        FeatureSpec {
            backbone: backbone.to_owned(),
            view: Default::default(),
            weights: Default::default(),
            weights_sha256: "0".repeat(64),
            onnx: None,
            transform: serde_json::json!({ "crop": 64 }),
            grid,
            channels: 4,
        }
    }

    /// Writes images whose grids count on from image to image; the even ones are of the train split.
    fn write(folder: &Path, spec: &FeatureSpec, count: usize) {
        std::fs::create_dir(folder).unwrap();
        let size = spec.regions() * spec.channels;
        let row = |index: usize| FeatureRow {
            key: FeatureKey {
                image_id: format!("image-{index}"),
                split: if index.is_multiple_of(2) { Split::Train } else { Split::Val },
                content_hash: format!("blake3:{index}"),
            },
            pooled: vec![f16::ZERO; 4],
            grid: (0..size).map(|value| f16::from_f32((index * size + value) as f32)).collect(),
        };
        let rows: Vec<FeatureRow> = (0..count).map(row).collect();
        let keys: Vec<FeatureKey> = rows.iter().map(|row| row.key.clone()).collect();
        let recipe = Recipe::new("preprocess", 1, &"settings").unwrap();
        let file = part_file(0, &recipe, &keys);
        write_part(&folder.join(&file), spec, Dtype::F16, &rows, &[], &recipe, &keys).unwrap();
        let output = Output { file, bytes: 0, rows: None, hash: String::new() };
        let manifest = Manifest {
            fingerprint: String::new(),
            recipe,
            model: None,
            outputs: vec![output],
            warnings: vec![],
            summary: Default::default(),
            seconds: 0.0,
        };
        manifest.write(folder).unwrap();
    }

    fn values(store: &GridStore, images: &[usize]) -> Vec<f32> {
        let tensor = store.tensor(images, Device::Cpu).unwrap();
        let shape = [images.len(), store.join().regions(), store.join().channels()];
        assert_eq!(tensor.size(), shape.map(|size| size as i64));
        Vec::try_from(tensor.flatten(0, -1)).unwrap()
    }

    #[test]
    fn a_split_is_the_same_from_memory_and_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        let (path, spec) = (folder.path().join("tiny"), spec("tiny", [2, 3]));
        write(&path, &spec, 70);
        for memory in [0, u64::MAX] {
            let store =
                GridStore::open(vec![FeatureSet::open_named(&path, "tiny").unwrap()], Split::Val, memory)
                    .unwrap();
            assert_eq!((store.len(), store.specs()), (35, &[spec.clone()][..]));
            assert_eq!(store.is_resident(), memory > 0);
            assert_eq!(store.index().get("image-69"), Some(34));
            let wanted = [69, 1, 41].map(|image| (0..24).map(move |value| (image * 24 + value) as f32));
            assert_eq!(values(&store, &[34, 0, 20]), wanted.into_iter().flatten().collect::<Vec<_>>());
        }
    }

    #[test]
    fn sets_are_joined_by_channel_and_image() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        write(&a, &spec("a", [1, 2]), 5);
        write(&b, &spec("b", [1, 2]), 4);
        write(&c, &spec("c", [2, 1]), 4);
        let open = |paths: [&Path; 2]| {
            let sets = paths.map(|path| FeatureSet::open(path).unwrap());
            GridStore::open(sets.into(), Split::Train, 0).unwrap()
        };
        let store = open([&a, &b]);
        let index = |id| store.index().get(id);
        assert_eq!(["image-0", "image-2"].map(index), [Some(0), Some(1)]);
        assert_eq!((store.len(), index("image-4")), (2, None), "it is in the first set only");
        let side_by_side = [16., 17., 18., 19., 16., 17., 18., 19., 20., 21., 22., 23., 20., 21., 22., 23.];
        assert_eq!(values(&store, &[1]), side_by_side);
        // The two regions of c lie above each other, so both of a's cover half of each.
        let store = open([&a, &c]);
        let side_by_side = [16., 17., 18., 19., 18., 19., 20., 21., 20., 21., 22., 23., 18., 19., 20., 21.];
        assert_eq!(values(&store, &[1]), side_by_side);
    }

    #[test]
    fn another_backbone_or_an_absent_split_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny");
        write(&path, &spec("tiny", [2, 3]), 4);
        let error = FeatureSet::open_named(&path, "resnet50").err().unwrap().to_string();
        assert!(error.contains("made with tiny, but resnet50 is wanted"), "{error}");
        let absent = GridStore::open(vec![FeatureSet::open(&path).unwrap()], Split::Test, 0).err().unwrap();
        assert!(matches!(absent, FeatureError::Empty { folder, .. } if folder == path));
    }
}
