//! The features of one split, of one set or several joined: in memory when they fit, read by the page when not.

use std::collections::HashMap;
use std::path::Path;

use half::f16;

use super::{FeatureError, FeatureSpec, Join, Part};
use crate::Manifest;
use crate::split::Split;

/// Features of the images of a split, random access.
pub struct FeatureStore {
    specs: Vec<FeatureSpec>,
    join: Join,
    image_ids: Vec<String>,
    sets: Vec<Set>,
    /// All grids, joined, when they fit: `[images × regions × channels]`.
    resident: Option<Vec<f16>>,
}

/// The parts of one set, and where in them each image is.
struct Set {
    parts: Vec<Part>,
    /// Part and row of each image.
    rows: Vec<(usize, usize)>,
}

impl FeatureStore {
    /// Opens one split of finished sets, each a folder and the name that it must have; images must be in all of them.
    ///
    /// Up to `memory` bytes the grids are read at once and kept.
    pub fn open<P: AsRef<Path>, N: AsRef<str>>(
        sets: &[(P, N)],
        split: Split,
        memory: u64,
    ) -> Result<FeatureStore, FeatureError> {
        let mut specs = Vec::new();
        let mut found = Vec::new();
        for (folder, name) in sets {
            let (spec, parts) = open_parts(folder.as_ref(), name.as_ref())?;
            specs.push(spec);
            found.push(parts);
        }
        let join = Join::new(&specs);
        let places: Vec<HashMap<&str, (usize, usize)>> =
            found.iter().map(|parts| index(parts, split)).collect();
        let in_all = |id: &&str| places.iter().all(|rows| rows.contains_key(*id));
        let first = found.first().into_iter().flatten().flat_map(|part| &part.keys);
        let ids = first.filter(|key| key.split == split).map(|key| key.image_id.as_str());
        let ids: Vec<&str> = ids.filter(in_all).collect();
        if ids.is_empty() {
            let folder = sets.first().map(|(folder, _)| folder.as_ref().to_owned()).unwrap_or_default();
            return Err(FeatureError::Empty { folder, split });
        }
        let rows: Vec<Vec<_>> = places.iter().map(|rows| ids.iter().map(|id| rows[id]).collect()).collect();
        let image_ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
        let sets = found.into_iter().zip(rows).map(|(parts, rows)| Set { parts, rows }).collect();
        let mut store = FeatureStore { specs, join, image_ids, sets, resident: None };
        let bytes = (store.len() * store.regions() * store.channels() * size_of::<f16>()) as u64;
        if bytes <= memory {
            let all: Vec<usize> = (0..store.len()).collect();
            store.resident = Some(store.read(&all)?);
        }
        Ok(store)
    }

    /// A store of one set in memory; `grids` holds `[images × regions × channels]` values, row-major.
    pub fn resident(spec: FeatureSpec, image_ids: Vec<String>, grids: Vec<f16>) -> FeatureStore {
        debug_assert_eq!(grids.len(), image_ids.len() * spec.regions() * spec.channels);
        let specs = vec![spec];
        FeatureStore { join: Join::new(&specs), specs, image_ids, sets: vec![], resident: Some(grids) }
    }

    /// What made each of the sets.
    pub fn specs(&self) -> &[FeatureSpec] {
        &self.specs
    }

    /// The images in their order.
    pub fn image_ids(&self) -> &[String] {
        &self.image_ids
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

    /// Regions of a grid.
    pub fn regions(&self) -> usize {
        self.join.grid().iter().product()
    }

    /// Numbers a region, of all sets together.
    pub fn channels(&self) -> usize {
        self.join.channels()
    }

    /// The grids of some images: `[images × regions × channels]`.
    pub fn read(&self, images: &[usize]) -> Result<Vec<f16>, FeatureError> {
        let size = self.regions() * self.channels();
        let mut grids = Vec::with_capacity(images.len() * size);
        for &image in images {
            match (&self.resident, self.sets.as_slice()) {
                (Some(resident), _) => grids.extend_from_slice(&resident[image * size..(image + 1) * size]),
                (None, [set]) => set.grid(image, &mut grids)?,
                (None, sets) => self.join(sets, image, &mut grids)?,
            }
        }
        Ok(grids)
    }

    fn join(&self, sets: &[Set], image: usize, out: &mut Vec<f16>) -> Result<(), FeatureError> {
        let mut grids = vec![Vec::new(); sets.len()];
        for (set, grid) in sets.iter().zip(&mut grids) {
            set.grid(image, grid)?;
        }
        self.join.append(&grids, out);
        Ok(())
    }
}

impl Set {
    fn grid(&self, image: usize, out: &mut Vec<f16>) -> Result<(), FeatureError> {
        let (part, row) = self.rows[image];
        Ok(self.parts[part].grid(row, out)?)
    }
}

/// The parts of a finished folder, which must all be of the set `name` and made alike.
fn open_parts(folder: &Path, name: &str) -> Result<(FeatureSpec, Vec<Part>), FeatureError> {
    let manifest = Manifest::read(folder)?;
    let mut parts: Vec<Part> = Vec::new();
    for output in &manifest.outputs {
        let part = Part::open(&folder.join(&output.file))?;
        let wanted = match parts.first() {
            _ if part.spec.name() != name => name.to_owned(),
            Some(first) if first.spec != part.spec => format!("one set of {name} weights for all parts"),
            _ => {
                parts.push(part);
                continue;
            }
        };
        return Err(FeatureError::OtherBackbone { path: part.path, found: part.spec.name(), wanted });
    }
    let empty = || FeatureError::Empty { folder: folder.to_owned(), split: Split::Train };
    let spec = parts.first().map(|part| part.spec.clone()).ok_or_else(empty)?;
    Ok((spec, parts))
}

/// Where the images of a split are.
fn index(parts: &[Part], split: Split) -> HashMap<&str, (usize, usize)> {
    let parts = parts.iter().enumerate();
    let rows = parts.flat_map(|(part, content)| {
        content.keys.iter().enumerate().map(move |(row, key)| (key, (part, row)))
    });
    rows.filter(|(key, _)| key.split == split).map(|(key, place)| (key.image_id.as_str(), place)).collect()
}
