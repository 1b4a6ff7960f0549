//! Datasets that come in shards: each is read alone, front to back, and gives one part of the tables.
//!
//! Nothing is known of all images at once: an image's id, split and captions follow from its shard and its bytes. So shards are
//! read side by side, by as many processes as people start, and a killed one loses the shards that it was reading. What only
//! all rows together can tell (two images of one id, one photo in two splits) is looked for when all parts are there, in
//! passes that hold a bounded number of rows.

mod gather;
mod parquet;
mod part;
mod shards;
mod together;
mod webdataset;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

use anyhow::Context as _;
use artifacts::manifest::Warning;
use artifacts::{Manifest, Recipe, Split};
use serde_json::{Map, json};
use stage::guard::{Making, Work};
use stage::progress::Progress;
use stage::{Context, Outcome, Shard as Share, Stage as _};

use self::gather::{Gathered, Rules, Seen};
use self::part::Part;
use self::shards::Shards;
use crate::settings::{Kind, Settings};
use crate::{Dataset, SCHEMA_VERSION};

pub use self::shards::ShardError;

/// Faults of shards that an error lists.
const SHOWN: usize = 5;

/// The work of the stage on such a dataset.
pub(crate) struct Sharded<'a> {
    kind: Kind,
    shards: Shards,
    rules: Rules,
    settings: &'a Settings,
    context: &'a Context,
    /// What decides a part, whatever the other shards are.
    recipe: Recipe,
}

impl<'a> Sharded<'a> {
    pub(crate) fn new(
        kind: Kind,
        settings: &'a Settings,
        context: &'a Context,
    ) -> anyhow::Result<Sharded<'a>> {
        let shards = Shards::find(&settings.root.to_string_lossy(), kind)?;
        let rules = Rules {
            given: shards.splits_given,
            seed: context.run.seed,
            val: settings.val_fraction,
            test: settings.test_fraction,
            ids: settings.ids,
            caption_column: settings.caption_column.clone(),
        };
        let decisive = json!({
            "layout": settings.layout,
            "root": settings.root,
            "seed": rules.seed,
            "val_fraction": rules.val,
            "test_fraction": rules.test,
            "ids": rules.ids,
            "caption_column": rules.caption_column,
            "splits_of_shards": shards.splits_given,
        });
        let recipe = Recipe::new(Dataset::NAME, SCHEMA_VERSION, &decisive)?;
        Ok(Sharded { kind, shards, rules, settings, context, recipe })
    }

    /// Makes the parts that are missing; nothing comes of it when other processes are not done with theirs.
    pub(crate) fn make(&self, share: Share) -> anyhow::Result<Option<Outcome>> {
        let folder = self.context.folder.dataset();
        let mut recipe = self.recipe.clone();
        recipe.watched.insert("shards".to_owned(), self.shards.stamp());
        if share.count == 1 {
            let make = |work| self.read(share, work)?.context("some shards are missing");
            return Ok(Some(self.context.guard(
                Dataset::NAME,
                folder,
                recipe,
                Making::InPlace(None),
                make,
            )?));
        }
        self.context.guard_shard(Dataset::NAME, folder, recipe, share.index, |work| self.read(share, work))
    }

    fn read(&self, share: Share, work: Work) -> anyhow::Result<Option<Manifest>> {
        let part = |shard| Part::new(shard, &self.recipe, work.path(""));
        let parts: Vec<Part> = self.shards.files.iter().map(part).collect();
        let is_missing = |part: &&Part| self.context.force || part.complete(&self.recipe).is_none();
        let own = parts.iter().filter(|part| share.has(part.shard.number));
        let missing: Vec<&Part> = own.filter(is_missing).collect();
        if missing.len() < parts.len() && share.count == 1 {
            let complete = parts.len() - missing.len();
            self.context.note(&format!("  {complete} of {} shards are read already", parts.len()));
        }
        let bytes: u64 = missing.iter().map(|part| part.shard.size).sum();
        let progress = Progress::new(Dataset::NAME, "MB", (bytes >> 20) as usize, self.context.quiet);
        let faults: Mutex<Vec<String>> = Mutex::default();
        let next = AtomicUsize::new(0);
        // Threads of their own: those of rayon, which look at the images, would begin another shard while they wait.
        std::thread::scope(|scope| {
            let read = || {
                while let Some(part) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Others go on: each shard that is whole is a part that will not have to be read again.
                    if let Err(error) = self.read_shard(part, &progress) {
                        let text = stage::cli::message(&error);
                        faults.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                    }
                }
            };
            let others = rayon::current_num_threads().min(missing.len()).saturating_sub(1);
            for _ in 0..others {
                // One that the system refuses is made up for by the rest.
                let _ = Builder::new().spawn_scoped(scope, read);
            }
            read();
        });
        drop(progress);
        let mut faults = faults.into_inner().unwrap_or_else(PoisonError::into_inner);
        faults.sort();
        if let Some(first) = faults.first() {
            anyhow::ensure!(faults.len() > 1, "{first}");
            let more = faults.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!("\n  … and {more} more") } else { String::new() };
            let shown = faults.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n  ");
            anyhow::bail!("{} shards cannot be used:\n  {shown}{more}", faults.len());
        }
        let seen: Option<Vec<Seen>> = parts.iter().map(|part| part.complete(&self.recipe)).collect();
        let Some(seen) = seen else {
            self.context.note("  this shard's parts are complete, those of others are not yet");
            return Ok(None);
        };
        self.finish(work, &parts, seen).map(Some)
    }

    fn read_shard(&self, part: &Part, progress: &Progress) -> anyhow::Result<()> {
        let shard = part.shard;
        let mut gathered = Gathered::new(shard, &self.rules, self.kind == Kind::Parquet);
        let source = &self.shards.source;
        let mut read_mb = 0;
        let mut advance = |read: u64| {
            let now = (read >> 20) as usize;
            progress.add(now - read_mb);
            read_mb = now;
        };
        match self.kind {
            Kind::WebDataset => webdataset::read(source, shard, &mut gathered, &mut advance)?,
            Kind::Parquet => parquet::read(source, shard, &mut gathered, &mut advance)?,
        }
        part.write(&gathered.finish(), &self.shards.root, &self.recipe)
    }

    fn finish(&self, mut work: Work, parts: &[Part], seen: Vec<Seen>) -> anyhow::Result<Manifest> {
        let mut all = Seen::default();
        seen.into_iter().for_each(|seen| all.add(seen));
        all.check(self.settings.max_bad_fraction)?;
        let rows = || part::rows(parts);
        let mut splits = [0; Split::ALL.len()];
        for row in rows() {
            splits[row?.split as usize] += 1;
        }
        let count = |split: Split| splits[split as usize];
        anyhow::ensure!(count(Split::Train) > 0, "the dataset has no usable train image");
        together::refuse_repeated_ids(rows, all.images)?;
        let given = self.rules.given || all.own_splits > 0;
        for (subject, reason) in together::spoilers(rows, all.images, &splits, given)? {
            work.warn_first(subject, reason);
        }
        if let Some(split) = self.shards.only_split.filter(|_| !given) {
            let reason = "all shards are of it, so it tells nothing apart: val and test are drawn, by dataset.val_fraction and \
                          dataset.test_fraction";
            work.warn_first(split.to_string(), reason);
        }
        for Warning { subject, reason } in all.warnings() {
            work.warn(subject, reason);
        }
        let mut summary = Map::from_iter([
            ("captions".to_owned(), json!(all.captions)),
            ("shards".to_owned(), json!(parts.len())),
        ]);
        for split in Split::ALL {
            summary.insert(format!("{split}_images"), json!(count(split)));
        }
        if !all.unfetched.is_empty() {
            summary.insert("unfetched".to_owned(), json!(all.unfetched));
        }
        self.context.note(&format!("  {} images, {} captions", all.images, all.captions));
        let files: Vec<&str> = parts.iter().flat_map(|part| part.files()).collect();
        Ok(work.finish(&files, summary)?)
    }
}
