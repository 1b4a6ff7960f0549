//! The grids of one split, of one set or several joined: in memory when they fit, read by the page when not.

use std::collections::HashMap;
use std::path::Path;

use artifacts::Split;
use artifacts::features::{FeatureError, FeatureSet, FeatureSpec};
use half::f16;
use model::grids::Join;
use tch::{Device, Tensor};

use super::{GridError, tensor};

/// The grids of the images of a split, random access.
pub struct GridStore {
    specs: Vec<FeatureSpec>,
    join: Join,
    image_ids: Vec<String>,
    /// Where grids are read from; nothing when they are in memory, because the identities of a million images are as large.
    sets: Vec<Set>,
    /// Names of the sets without checksums.
    unchecked: Vec<String>,
    /// All grids, joined, when they fit: `[images × regions × channels]`.
    resident: Option<Vec<f16>>,
}

/// One set, and where in it each image is.
struct Set {
    features: FeatureSet,
    rows: Vec<usize>,
}

impl GridStore {
    /// Opens one split of finished sets; images must be in all of them.
    ///
    /// Up to `memory` bytes the grids are read at once and kept.
    ///
    /// # Errors
    ///
    /// When a set is damaged, or when no image of the split is in all of them.
    pub fn open(found: Vec<FeatureSet>, split: Split, memory: u64) -> Result<GridStore, FeatureError> {
        let specs: Vec<FeatureSpec> = found.iter().map(|set| set.spec().clone()).collect();
        let places: Vec<HashMap<&str, usize>> = found.iter().map(|set| set.rows_of(split)).collect();
        let in_all = |id: &&str| places.iter().all(|rows| rows.contains_key(*id));
        let first = found.first().into_iter().flat_map(FeatureSet::keys);
        let ids = first.filter(|key| key.split == split).map(|key| key.image_id.as_str());
        let ids: Vec<&str> = ids.filter(in_all).collect();
        if ids.is_empty() {
            let first = found.first().and_then(|set| set.parts().first());
            let folder = first.and_then(|part| part.path.parent()).map(Path::to_owned).unwrap_or_default();
            return Err(FeatureError::Empty { folder, split });
        }
        let rows: Vec<Vec<_>> = places.iter().map(|rows| ids.iter().map(|id| rows[id]).collect()).collect();
        let image_ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        let without_sums = found.iter().filter(|set| !set.is_checked());
        let unchecked = without_sums.map(|set| set.spec().name()).collect();
        let sets = found.into_iter().zip(rows).map(|(features, rows)| Set { features, rows }).collect();
        let join = Join::new(&specs);
        let mut store = GridStore { specs, join, image_ids, sets, unchecked, resident: None };
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
            image_ids,
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

    /// The images in their order.
    pub fn image_ids(&self) -> &[String] {
        &self.image_ids
    }

    /// Where each image is, by its id.
    pub fn index(&self) -> HashMap<&str, usize> {
        self.image_ids.iter().enumerate().map(|(index, id)| (id.as_str(), index)).collect()
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.image_ids.len()
    }

    /// True when there is no image.
    pub fn is_empty(&self) -> bool {
        self.image_ids.is_empty()
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
            (None, [set]) => set.features.grid(set.rows[image], out)?,
            (None, sets) => {
                let mut grids = vec![Vec::new(); sets.len()];
                for (set, grid) in sets.iter().zip(&mut grids) {
                    set.features.grid(set.rows[image], grid)?;
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

#[cfg(test)]
mod tests {
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
            assert_eq!((store.image_ids()[34].as_str(), store.index()["image-69"]), ("image-69", 34));
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
        // image-4 is in the first set only.
        assert_eq!(store.image_ids(), ["image-0", "image-2"]);
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
