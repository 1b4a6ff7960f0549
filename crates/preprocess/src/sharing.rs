//! Sets in a place that many machines share, such as an object store, which renames nothing and locks nothing.
//!
//! A part is made on the worker's own disk and sent as a whole; then a receipt is written beside it, which says what was sent.
//! A part counts when its receipt is there, and the set is finished when its manifest is. Two workers that make the same part send
//! the same bytes, so it does not matter who is last.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use artifacts::images::Images;
use artifacts::manifest::{FILE_AMONG_PARTS, Output, Warning};
use artifacts::{Manifest, Recipe};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use shared::FeaturePlace;
use stage::{Outcome, Stage as _};
use store::Folder;

use crate::parts::{Old, Parts, Writer};
use crate::{Preprocess, Set, check_skipped};

/// Folder of the receipts in that of the set; engines that open a folder as one table pass over names that begin so.
const RECEIPTS: &str = "_parts";
const MOST_RECEIPT: u64 = 1 << 26;

/// What is known of a part without reading it.
#[derive(Serialize, Deserialize)]
struct Receipt {
    output: Output,
    skipped: Vec<Warning>,
}

impl Receipt {
    fn file(part: &str) -> String {
        format!("{RECEIPTS}/{part}.json")
    }
}

/// A set where many machines share it.
pub(crate) struct SharedSet<'a> {
    set: &'a Set<'a>,
    folder: Folder,
    recipe: Recipe,
}

impl<'a> SharedSet<'a> {
    pub(crate) fn new(set: &'a Set<'a>, folder: Folder, recipe: Recipe) -> SharedSet<'a> {
        SharedSet { set, folder, recipe }
    }

    /// The finished set, if it is that of the recipe.
    pub(crate) fn finished(&self) -> Option<Manifest> {
        let manifest = FeaturePlace::Shared(self.folder.clone()).manifest().ok()?;
        self.recipe.difference(&manifest.recipe).is_none().then_some(manifest)
    }

    /// The numbers of the parts that are there.
    pub(crate) fn complete(&self, parts: &Parts) -> anyhow::Result<Vec<usize>> {
        let there = self.there()?;
        let complete = parts.files().into_iter().enumerate().filter(|(_, file)| there.contains(*file));
        Ok(complete.map(|(number, _)| number).collect())
    }

    /// The parts whose receipts are there.
    fn there(&self) -> anyhow::Result<HashSet<String>> {
        let receipts = self.folder.within(RECEIPTS)?;
        let listed = match receipts.list() {
            Err(error) if error.is_not_found() => Vec::new(),
            listed => listed?,
        };
        let part = |name: String| name.strip_suffix(".json").map(str::to_owned);
        Ok(listed.into_iter().filter_map(|entry| part(entry.name)).collect())
    }

    /// Makes what is missing of the parts that `own` tells by their numbers; where all are there, and `finishes`, the manifest.
    pub(crate) fn make(
        &self,
        images: &Images,
        own: impl Fn(usize) -> bool,
        finishes: bool,
    ) -> anyhow::Result<Option<Outcome>> {
        let (context, started) = (self.set.context, Instant::now());
        if let Some(manifest) = self.finished().filter(|_| !context.force) {
            return Ok(Some(self.outcome(manifest, true)));
        }
        context.note(&format!("{}: making {}", Preprocess::NAME, self.folder));
        let local = context.folder.features(&self.set.spec.name());
        let parts = self.set.parts(images, local)?;
        let there = if context.force { HashSet::new() } else { self.there()? };
        let missing = parts.planned(|number, file| own(number) && !there.contains(file));
        if !missing.is_empty() {
            let old = Old::default();
            let writer = Writer::new(&self.set.spec, self.set.settings.dtype, &parts, missing, &old)?;
            let send = |path: &Path, skipped: &[Warning]| self.send(path, skipped);
            self.set.compute(&images.root, writer.delivering(&send))?;
        }
        if !finishes {
            return Ok(None);
        }
        let there = self.there()?;
        if !parts.files().into_iter().all(|file| there.contains(file)) {
            context.note("  this shard's parts are complete, those of others are not yet");
            return Ok(None);
        }
        let manifest = self.finish(&parts, images.parts.len(), started)?;
        Ok(Some(self.outcome(manifest, false)))
    }

    /// Its address, in place of a folder.
    pub(crate) fn place(&self) -> PathBuf {
        PathBuf::from(self.folder.to_string())
    }

    fn outcome(&self, manifest: Manifest, up_to_date: bool) -> Outcome {
        Outcome { folder: self.place(), manifest, up_to_date }
    }

    /// Sends a part that lies on this machine, then its receipt.
    fn send(&self, path: &Path, skipped: &[Warning]) -> anyhow::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let output = Output::of(path.parent().unwrap_or(Path::new(".")), &name)?;
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        self.folder.write(&name, bytes.into())?;
        let receipt = Receipt { output, skipped: skipped.to_vec() };
        self.folder.write(&Receipt::file(&name), serde_json::to_vec(&receipt)?.into())?;
        std::fs::remove_file(path).with_context(|| path.display().to_string())
    }

    fn finish(&self, parts: &Parts, images: usize, started: Instant) -> anyhow::Result<Manifest> {
        let receipt = |file: &&str| -> anyhow::Result<Receipt> {
            let bytes = self.folder.fetch(&Receipt::file(file), MOST_RECEIPT)?;
            serde_json::from_slice(&bytes).with_context(|| self.folder.place_of(&Receipt::file(file)))
        };
        let receipts = parts.files().par_iter().map(receipt).collect::<anyhow::Result<Vec<Receipt>>>()?;
        let (mut outputs, mut skipped) = (Vec::new(), Vec::new());
        for receipt in receipts {
            outputs.push(receipt.output);
            skipped.extend(receipt.skipped);
        }
        check_skipped(&skipped, images, self.set.settings.max_bad_fraction)?;
        let before = FeaturePlace::Shared(self.folder.clone()).manifest().ok();
        let manifest = Manifest {
            fingerprint: self.recipe.fingerprint(),
            recipe: self.recipe.clone(),
            model: None,
            summary: self.set.summary(images, skipped.len()),
            outputs,
            warnings: skipped,
            seconds: started.elapsed().as_secs_f64(),
        };
        self.folder.write(FILE_AMONG_PARTS, manifest.sealed()?.into())?;
        // What the set was before, and is no more.
        let named: HashSet<&str> = manifest.outputs.iter().map(|output| output.file.as_str()).collect();
        for old in
            before.iter().flat_map(|before| &before.outputs).filter(|old| !named.contains(old.file.as_str()))
        {
            self.folder.remove(&Receipt::file(&old.file))?;
            self.folder.remove(&old.file)?;
        }
        Ok(manifest)
    }
}
