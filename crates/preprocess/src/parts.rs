//! The parts of a set: which are complete, which rows older ones can give, and how finished ones reach the disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::features::{
    self, Dtype, FeatureKey, FeaturePart, FeatureRow, FeatureSpec, complete_part, part_file,
};
use artifacts::images::ImageRow;
use artifacts::manifest::{self, Warning};
use artifacts::table::TableError;
use artifacts::{Manifest, Recipe, layout};

use crate::extract::{Batch, Extracted};
use crate::shard::Shard;

/// All parts of a set, in order.
pub(crate) struct Parts<'a> {
    folder: PathBuf,
    recipe: &'a Recipe,
    parts: Vec<Part<'a>>,
}

/// One part as it should be.
#[derive(Clone)]
pub(crate) struct Part<'a> {
    path: PathBuf,
    file: String,
    images: &'a [ImageRow],
    keys: Vec<FeatureKey>,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(
        images: &'a [ImageRow],
        part_images: usize,
        recipe: &'a Recipe,
        folder: PathBuf,
    ) -> Parts<'a> {
        let parts = images.chunks(part_images).enumerate().map(|(number, images)| {
            let keys: Vec<FeatureKey> = images.iter().map(key).collect();
            let file = part_file(number, recipe, &keys);
            Part { path: folder.join(&file), file, images, keys }
        });
        Parts { parts: parts.collect(), folder, recipe }
    }

    pub(crate) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn files(&self) -> Vec<&str> {
        self.parts.iter().map(|part| part.file.as_str()).collect()
    }

    /// The parts of a shard that are not complete, or damaged; all of them with `force`.
    pub(crate) fn missing(&self, shard: Shard, force: bool) -> Vec<Part<'a>> {
        let own =
            self.parts.iter().enumerate().filter(|(number, _)| shard.has(*number)).map(|(_, part)| part);
        own.filter(|part| force || self.skipped_of(part).is_none() || !is_whole(&part.path))
            .cloned()
            .collect()
    }

    /// Whole parts in the folder that the same recipe made, whatever images are in them.
    pub(crate) fn old(&self, spec: &FeatureSpec) -> anyhow::Result<Vec<FeaturePart>> {
        let paths = in_folder(&self.folder)?;
        let parts = paths.into_iter().filter_map(|path| FeaturePart::open(&path).ok());
        let same = parts.filter(|part| part.spec == *spec && part.is_made_by(self.recipe));
        Ok(same.filter(|part| part.verify().is_ok()).collect())
    }

    /// What was skipped in all parts; `None` when one is not complete.
    pub(crate) fn skipped(&self) -> Option<Vec<Warning>> {
        let skipped: Option<Vec<_>> = self.parts.iter().map(|part| self.skipped_of(part)).collect();
        Some(skipped?.concat())
    }

    fn skipped_of(&self, part: &Part) -> Option<Vec<Warning>> {
        complete_part(&part.path, self.recipe, &part.keys)
    }
}

/// Removes what [`old`] finds; for whoever holds the lock.
pub(crate) fn remove_old(folder: &Path) -> anyhow::Result<()> {
    for path in old(folder)? {
        std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Parts that a finished set has replaced: its manifest does not name them and is newer. What is newer than the manifest
/// belongs to a run that is not finished, which goes on with it.
pub(crate) fn old(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let manifest = Manifest::read(folder)?;
    let finished = std::fs::metadata(manifest::path(folder))?.modified()?;
    let mut old = Vec::new();
    for path in in_folder(folder)? {
        let named = manifest.outputs.iter().any(|output| folder.join(&output.file) == path);
        if !named && std::fs::metadata(&path)?.modified()? <= finished {
            old.push(path);
        }
    }
    Ok(old)
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

fn key(row: &ImageRow) -> FeatureKey {
    FeatureKey { image_id: row.image_id.clone(), split: row.split, content_hash: row.content_hash.clone() }
}

/// Collects the rows of missing parts, computed ones and those of older parts, and writes each part that is full.
pub(crate) struct Writer<'a> {
    spec: &'a FeatureSpec,
    dtype: Dtype,
    recipe: &'a Recipe,
    old: &'a [FeaturePart],
    drafts: Vec<Draft<'a>>,
}

/// A part in the making.
struct Draft<'a> {
    part: Part<'a>,
    /// Where each image's row comes from.
    rows: Vec<Source>,
    /// Images not computed yet.
    waiting: usize,
}

enum Source {
    /// Still to be computed.
    Wanted,
    /// Part and row of an older part.
    Old(usize, usize),
    Computed(Extracted),
    Skipped(Warning),
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        spec: &'a FeatureSpec,
        dtype: Dtype,
        recipe: &'a Recipe,
        missing: Vec<Part<'a>>,
        old: &'a [FeaturePart],
    ) -> Writer<'a> {
        let mut places = HashMap::new();
        for (number, part) in old.iter().enumerate() {
            for (row, key) in part.keys.iter().enumerate() {
                places.insert((&key.image_id, &key.content_hash), (number, row));
            }
        }
        let draft = |part: Part<'a>| {
            let source = |key: &FeatureKey| match places.get(&(&key.image_id, &key.content_hash)) {
                Some(&(part, row)) => Source::Old(part, row),
                None => Source::Wanted,
            };
            let rows: Vec<Source> = part.keys.iter().map(source).collect();
            let waiting = rows.iter().filter(|row| matches!(row, Source::Wanted)).count();
            Draft { part, rows, waiting }
        };
        let drafts = missing.into_iter().map(draft).collect();
        Writer { spec, dtype, recipe, old, drafts }
    }

    /// Images to be computed.
    pub(crate) fn wanted(&self) -> usize {
        self.drafts.iter().map(|draft| draft.waiting).sum()
    }

    /// Images whose rows older parts give.
    pub(crate) fn kept(&self) -> usize {
        self.drafts.iter().map(|draft| draft.rows.len() - draft.waiting).sum()
    }

    /// The images to be computed, part by part, a network's batch at a time.
    pub(crate) fn batches(&self, size: usize) -> Vec<Batch<'a>> {
        let mut batches = Vec::new();
        for (number, draft) in self.drafts.iter().enumerate() {
            let images = draft.rows.iter().zip(draft.part.images).enumerate();
            let wanted: Vec<_> = images
                .filter(|(_, (source, _))| matches!(source, Source::Wanted))
                .map(|(place, (_, image))| (place, image))
                .collect();
            batches.extend(wanted.chunks(size).map(|images| Batch { part: number, images: images.to_vec() }));
        }
        batches
    }

    /// Takes in what became of some images.
    pub(crate) fn accept(&mut self, batch: &Batch, results: Vec<Result<Extracted, Warning>>) {
        let draft = &mut self.drafts[batch.part];
        draft.waiting -= results.len();
        for ((place, _), result) in batch.images.iter().zip(results) {
            draft.rows[*place] = match result {
                Ok(extracted) => Source::Computed(extracted),
                Err(warning) => Source::Skipped(warning),
            };
        }
    }

    /// Takes out the parts that wait for nothing more.
    pub(crate) fn full(&mut self) -> Vec<FullPart<'a>> {
        let full = self.drafts.iter_mut().filter(|draft| draft.waiting == 0 && !draft.rows.is_empty());
        full.map(|draft| FullPart { part: draft.part.clone(), rows: std::mem::take(&mut draft.rows) })
            .collect()
    }

    /// What writes full parts, apart from what collects them.
    pub(crate) fn pen(&self) -> Pen<'a> {
        Pen { spec: self.spec, dtype: self.dtype, recipe: self.recipe, old: self.old }
    }
}

/// A part whose rows have all arrived, ready to be written.
pub(crate) struct FullPart<'a> {
    part: Part<'a>,
    rows: Vec<Source>,
}

/// Writes full parts.
pub(crate) struct Pen<'a> {
    spec: &'a FeatureSpec,
    dtype: Dtype,
    recipe: &'a Recipe,
    old: &'a [FeaturePart],
}

impl Pen<'_> {
    pub(crate) fn write(&self, full: FullPart) -> Result<(), TableError> {
        let FullPart { part, rows: sources } = full;
        let (mut rows, mut skipped) = (Vec::new(), Vec::new());
        for (key, source) in part.keys.iter().zip(sources) {
            let extracted = match source {
                Source::Computed(extracted) => extracted,
                Source::Old(number, row) => {
                    let mut grid = Vec::new();
                    self.old[number].grid(row, &mut grid)?;
                    Extracted { pooled: self.old[number].pooled(row)?, grid }
                }
                Source::Skipped(warning) => {
                    skipped.push(warning);
                    continue;
                }
                Source::Wanted => continue,
            };
            rows.push(FeatureRow { key: key.clone(), pooled: extracted.pooled, grid: extracted.grid });
        }
        features::write_part(&part.path, self.spec, self.dtype, &rows, &skipped, self.recipe, &part.keys)
    }
}
