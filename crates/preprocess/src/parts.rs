//! The parts of a set: which are complete, which rows older ones can give, and how finished ones reach the disk.
//!
//! Images are read a part at a time, so what is in memory does not grow with the dataset.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use artifacts::features::{
    self, Dtype, FeatureKey, FeaturePart, FeatureRow, FeatureSpec, complete_part, part_content, part_file,
};
use artifacts::images::ImageRow;
use artifacts::manifest::Warning;
use artifacts::table::TableError;
use artifacts::{Recipe, layout};
use half::f16;

/// Takes over a written part, with what was skipped in it.
pub(crate) type Deliver<'a> = dyn Fn(&Path, &[Warning]) -> anyhow::Result<()> + Sync + 'a;

/// Rows of `images/part-*.parquet`.
type Images = artifacts::Parts<ImageRow>;

/// All parts of a set, in order.
pub(crate) struct Parts<'a> {
    folder: PathBuf,
    recipe: &'a Recipe,
    images: &'a Images,
    parts: Vec<Planned>,
}

/// A part as it should be, without its images.
#[derive(Clone)]
pub(crate) struct Planned {
    file: String,
    /// What tells its images from others ([`part_content`]).
    content: String,
    /// Its images among those of the dataset.
    rows: Range<usize>,
}

/// A part as it should be.
pub(crate) struct Part {
    path: PathBuf,
    images: Vec<ImageRow>,
    keys: Vec<FeatureKey>,
}

/// Images of one part that go through the network together.
pub(crate) struct Batch {
    /// Which part, as those count that are missing.
    pub(crate) number: usize,
    pub(crate) part: Arc<Part>,
    /// The images' places in it.
    pub(crate) places: Vec<usize>,
}

/// The features of one image.
pub(crate) struct Extracted {
    /// `[channels]`: the mean over the regions.
    pub(crate) pooled: Vec<f16>,
    /// `[regions × channels]`.
    pub(crate) grid: Vec<f16>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(
        images: &'a Images,
        part_images: usize,
        recipe: &'a Recipe,
        folder: PathBuf,
    ) -> Result<Parts<'a>, TableError> {
        let mut parts = Vec::new();
        let mut rows = images.rows();
        let mut first = 0;
        loop {
            let keys: Vec<FeatureKey> =
                rows.by_ref().take(part_images).map(|row| row.map(key)).collect::<Result<_, _>>()?;
            if keys.is_empty() {
                break;
            }
            let (file, content) = (part_file(parts.len(), recipe, &keys), part_content(&keys));
            parts.push(Planned { file, content, rows: first..first + keys.len() });
            first += keys.len();
        }
        drop(rows);
        Ok(Parts { folder, recipe, images, parts })
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn files(&self) -> Vec<&str> {
        self.parts.iter().map(|part| part.file.as_str()).collect()
    }

    /// The numbers of the parts that are complete.
    pub(crate) fn complete(&self) -> Vec<usize> {
        let complete = self.parts.iter().enumerate().filter(|(_, part)| self.skipped_of(part).is_some());
        complete.map(|(number, _)| number).collect()
    }

    /// The parts, of those whose numbers are `own`, that are not complete, or damaged; all of them with `force`.
    pub(crate) fn missing(&self, own: impl Fn(usize) -> bool, force: bool) -> Vec<Planned> {
        let own = self.parts.iter().enumerate().filter(|(number, _)| own(*number)).map(|(_, part)| part);
        own.filter(|part| {
            force || self.skipped_of(part).is_none() || !is_whole(&self.folder.join(&part.file))
        })
        .cloned()
        .collect()
    }

    /// The parts whose numbers and files are wanted.
    pub(crate) fn planned(&self, wanted: impl Fn(usize, &str) -> bool) -> Vec<Planned> {
        let parts = self.parts.iter().enumerate();
        parts.filter(|(number, part)| wanted(*number, &part.file)).map(|(_, part)| part.clone()).collect()
    }

    /// Whole parts of an older state in the folder that the same recipe made, and that have rows for `missing`. Only those are
    /// read: whoever makes one part of thousands must not read the others.
    pub(crate) fn old(&self, spec: &FeatureSpec, missing: &[Planned]) -> anyhow::Result<Old> {
        let mut old = Old::default();
        let todays: HashSet<PathBuf> = self.parts.iter().map(|part| self.folder.join(&part.file)).collect();
        let mut paths = in_folder(&self.folder)?;
        paths.retain(|path| !todays.contains(path));
        if paths.is_empty() {
            return Ok(old);
        }
        let mut wanted = HashSet::new();
        for planned in missing {
            wanted.extend(self.load(planned)?.keys.iter().map(Old::hash));
        }
        for path in paths {
            if let Ok(part) = FeaturePart::open(&path)
                && part.spec == *spec
                && part.is_made_by(self.recipe)
                && part.keys.iter().any(|key| wanted.contains(&Old::hash(key)))
                && part.verify().is_ok()
            {
                old.add(path, &part.keys);
            }
        }
        Ok(old)
    }

    /// What was skipped in all parts; `None` when one is not complete.
    pub(crate) fn skipped(&self) -> Option<Vec<Warning>> {
        let skipped: Option<Vec<_>> = self.parts.iter().map(|part| self.skipped_of(part)).collect();
        Some(skipped?.concat())
    }

    fn skipped_of(&self, part: &Planned) -> Option<Vec<Warning>> {
        complete_part(&self.folder.join(&part.file), self.recipe, &part.content)
    }

    /// The part with its images.
    fn load(&self, planned: &Planned) -> Result<Part, TableError> {
        let images = self.images.range(planned.rows.clone())?;
        let keys = images.iter().cloned().map(key).collect();
        Ok(Part { path: self.folder.join(&planned.file), images, keys })
    }
}

/// Rows of older parts that can be taken over.
#[derive(Default)]
pub(crate) struct Old {
    paths: Vec<PathBuf>,
    /// The part and the row of each image, by a hash of its id and content.
    places: HashMap<[u8; 16], (u32, u32)>,
}

impl Old {
    fn add(&mut self, path: PathBuf, keys: &[FeatureKey]) {
        let part = self.paths.len() as u32;
        self.places.extend((0..).zip(keys).map(|(row, key)| (Old::hash(key), (part, row))));
        self.paths.push(path);
    }

    fn place(&self, key: &FeatureKey) -> Option<(u32, u32)> {
        self.places.get(&Old::hash(key)).copied()
    }

    fn hash(key: &FeatureKey) -> [u8; 16] {
        let digest = blake3::hash(format!("{}\n{}", key.content_hash, key.image_id).as_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest.as_bytes()[..16]);
        hash
    }
}

/// All parts that lie in a folder, in the order of their names.
fn in_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if layout::is_part(&name) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether every row of a part is the one that was written.
fn is_whole(path: &Path) -> bool {
    FeaturePart::open(path).and_then(|part| part.verify()).is_ok()
}

fn key(row: ImageRow) -> FeatureKey {
    FeatureKey { image_id: row.image_id, split: row.split, content_hash: row.content_hash }
}

/// Collects the rows of missing parts, computed ones and those of older parts, and writes each part that is full.
pub(crate) struct Writer<'a> {
    spec: &'a FeatureSpec,
    dtype: Dtype,
    parts: &'a Parts<'a>,
    missing: Vec<Planned>,
    old: &'a Old,
    deliver: Option<&'a Deliver<'a>>,
    /// Images to be computed.
    wanted: usize,
    /// Images whose rows older parts give.
    kept: usize,
    /// Parts that have begun, by their places among those that are missing.
    drafts: HashMap<usize, Draft>,
}

/// A part in the making.
struct Draft {
    part: Arc<Part>,
    /// What became of each image so far.
    rows: Vec<Source>,
    /// Images not computed yet.
    waiting: usize,
}

enum Source {
    /// Still to be computed.
    Wanted,
    /// Part and row of an older part.
    Old(u32, u32),
    Computed(Extracted),
    Skipped(Warning),
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        spec: &'a FeatureSpec,
        dtype: Dtype,
        parts: &'a Parts<'a>,
        missing: Vec<Planned>,
        old: &'a Old,
    ) -> Result<Writer<'a>, TableError> {
        let mut kept = 0;
        if !old.paths.is_empty() {
            for planned in &missing {
                kept += parts.load(planned)?.keys.iter().filter(|key| old.place(key).is_some()).count();
            }
        }
        let wanted = missing.iter().map(|planned| planned.rows.len()).sum::<usize>() - kept;
        Ok(Writer { spec, dtype, parts, missing, old, deliver: None, wanted, kept, drafts: HashMap::new() })
    }

    /// Hands each part on when it is written.
    pub(crate) fn delivering(self, deliver: &'a Deliver<'a>) -> Writer<'a> {
        Writer { deliver: Some(deliver), ..self }
    }

    /// Images to be computed.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }

    /// Images whose rows older parts give.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// The images to be computed, part by part, a network's batch at a time; a part of which none is has a batch without images.
    pub(crate) fn batches(&self, size: usize) -> impl Iterator<Item = Result<Batch, TableError>> + use<'a> {
        let (parts, old) = (self.parts, self.old);
        self.missing.clone().into_iter().enumerate().flat_map(move |(number, planned)| {
            let batches = parts.load(&planned).map(|part| {
                let wanted: Vec<usize> =
                    (0..part.keys.len()).filter(|&place| old.place(&part.keys[place]).is_none()).collect();
                let part = Arc::new(part);
                let batch = |places: &[usize]| Batch { number, part: part.clone(), places: places.to_vec() };
                match wanted.as_slice() {
                    [] => vec![batch(&[])],
                    wanted => wanted.chunks(size).map(batch).collect(),
                }
            });
            let (batches, error) = match batches {
                Ok(batches) => (batches, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            batches.into_iter().map(Ok).chain(error)
        })
    }

    /// Takes in what became of some images; gives the part that waits for nothing more.
    pub(crate) fn accept(
        &mut self,
        batch: Batch,
        results: Vec<Result<Extracted, Warning>>,
    ) -> Option<FullPart> {
        let draft =
            self.drafts.entry(batch.number).or_insert_with(|| Draft::new(batch.part.clone(), self.old));
        draft.waiting -= results.len();
        for (&place, result) in batch.places.iter().zip(results) {
            draft.rows[place] = match result {
                Ok(extracted) => Source::Computed(extracted),
                Err(warning) => Source::Skipped(warning),
            };
        }
        if draft.waiting > 0 {
            return None;
        }
        let Draft { part, rows, .. } = self.drafts.remove(&batch.number)?;
        Some(FullPart { part, rows })
    }

    /// What writes full parts, apart from what collects them.
    pub(crate) fn pen(&self) -> Pen<'a> {
        Pen {
            spec: self.spec,
            dtype: self.dtype,
            recipe: self.parts.recipe,
            old: self.old,
            deliver: self.deliver,
        }
    }
}

impl Draft {
    fn new(part: Arc<Part>, old: &Old) -> Draft {
        let source = |key: &FeatureKey| match old.place(key) {
            Some((part, row)) => Source::Old(part, row),
            None => Source::Wanted,
        };
        let rows: Vec<Source> = part.keys.iter().map(source).collect();
        let waiting = rows.iter().filter(|row| matches!(row, Source::Wanted)).count();
        Draft { part, rows, waiting }
    }
}

impl Part {
    /// One of its images.
    pub(crate) fn image(&self, place: usize) -> &ImageRow {
        &self.images[place]
    }
}

/// A part whose rows have all arrived, ready to be written.
pub(crate) struct FullPart {
    part: Arc<Part>,
    rows: Vec<Source>,
}

/// Writes full parts.
pub(crate) struct Pen<'a> {
    spec: &'a FeatureSpec,
    dtype: Dtype,
    recipe: &'a Recipe,
    old: &'a Old,
    deliver: Option<&'a Deliver<'a>>,
}

impl Pen<'_> {
    pub(crate) fn write(&self, full: FullPart) -> anyhow::Result<()> {
        let FullPart { part, rows: sources } = full;
        let (mut rows, mut skipped) = (Vec::new(), Vec::new());
        let mut open: HashMap<u32, FeaturePart> = HashMap::new();
        for (key, source) in part.keys.iter().zip(sources) {
            let extracted = match source {
                Source::Computed(extracted) => extracted,
                Source::Old(number, row) => {
                    let old = match open.entry(number) {
                        Entry::Occupied(open) => open.into_mut(),
                        Entry::Vacant(new) => {
                            new.insert(FeaturePart::open(&self.old.paths[number as usize])?)
                        }
                    };
                    let mut grid = Vec::new();
                    old.grid(row as usize, &mut grid)?;
                    Extracted { pooled: old.pooled(row as usize)?, grid }
                }
                Source::Skipped(warning) => {
                    skipped.push(warning);
                    continue;
                }
                Source::Wanted => continue,
            };
            rows.push(FeatureRow { key: key.clone(), pooled: extracted.pooled, grid: extracted.grid });
        }
        features::write_part(&part.path, self.spec, self.dtype, &rows, &skipped, self.recipe, &part.keys)?;
        self.deliver.map_or(Ok(()), |deliver| deliver(&part.path, &skipped))
    }
}
