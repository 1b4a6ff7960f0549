//! What a shard gives: samples become rows, and what cannot be used is counted by its reason.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use artifacts::images::ImageRow;
use artifacts::manifest::Warning;
use artifacts::recipe::digest;
use artifacts::{Locator, Split};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::shards::Shard;
use crate::settings::Ids;

/// Samples that are looked at together, and their bytes.
const AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 16 << 20;
/// Reasons that are told apart; those of a damaged image can be of any number.
const MOST_REASONS: usize = 64;
const OTHER_REASONS: &str = "other reasons";

/// What holds for all shards.
pub(crate) struct Rules {
    /// Whether the names of the shards say the splits.
    pub(crate) given: bool,
    pub(crate) seed: u64,
    /// Shares of the images where the dataset says no splits.
    pub(crate) val: f64,
    pub(crate) test: f64,
    pub(crate) ids: Ids,
    /// The column of captions, where it is not found by its name.
    pub(crate) caption_column: String,
}

impl Rules {
    /// The split of an image by its bytes alone, so that copies stay together and no shard need know of another.
    fn draw(&self, content_hash: &str) -> Split {
        let hash =
            blake3::Hasher::new().update(&self.seed.to_le_bytes()).update(content_hash.as_bytes()).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        let at = u64::from_le_bytes(first) as f64 / u64::MAX as f64;
        match at {
            at if at < self.val => Split::Val,
            at if at < self.val + self.test => Split::Test,
            _ => Split::Train,
        }
    }
}

/// An image with its captions, as a shard holds it.
pub(crate) struct Sample {
    /// The name that the dataset gives it.
    pub(crate) id: Option<String>,
    /// Its name within the shard, which no other sample of it has.
    pub(crate) place: String,
    pub(crate) locator: Locator,
    pub(crate) bytes: Vec<u8>,
    pub(crate) captions: Vec<String>,
    /// What the sample itself says of its split.
    pub(crate) split: Option<Split>,
}

/// Counts of one shard, or of several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) images: u64,
    pub(crate) captions: u64,
    /// Images that say their split themselves.
    pub(crate) own_splits: u64,
    /// Images that cannot be used, by reason.
    bad_images: BTreeMap<String, Bad>,
    /// Captions that cannot be used, by reason.
    bad_captions: BTreeMap<String, Bad>,
    /// What was never fetched, by the status that img2dataset gives it.
    pub(crate) unfetched: BTreeMap<String, u64>,
}

/// How many cannot be used for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bad {
    count: u64,
    /// The first of them.
    first: String,
}

fn count(bad: &mut BTreeMap<String, Bad>, reason: &str, more: Bad) {
    let reason = if bad.len() >= MOST_REASONS && !bad.contains_key(reason) { OTHER_REASONS } else { reason };
    match bad.get_mut(reason) {
        Some(known) => known.count += more.count,
        None => drop(bad.insert(reason.to_owned(), more)),
    }
}

impl Seen {
    pub(crate) fn add(&mut self, other: Seen) {
        self.images += other.images;
        self.captions += other.captions;
        self.own_splits += other.own_splits;
        other.bad_images.into_iter().for_each(|(reason, bad)| count(&mut self.bad_images, &reason, bad));
        other.bad_captions.into_iter().for_each(|(reason, bad)| count(&mut self.bad_captions, &reason, bad));
        other
            .unfetched
            .into_iter()
            .for_each(|(status, more)| *self.unfetched.entry(status).or_default() += more);
    }

    /// Refuses a dataset of which a larger share is bad than `allowed`. What was never fetched is no fault of the dataset's.
    pub(crate) fn check(&self, allowed: f64) -> anyhow::Result<()> {
        // Of captions the share is rounded up, as of datasets that are read at once: a stray one says nothing of the others.
        let of = [
            (&self.bad_images, self.images, false, "images"),
            (&self.bad_captions, self.captions, true, "captions"),
        ];
        for (bad, good, rounded, what) in of {
            let count: u64 = bad.values().map(|bad| bad.count).sum();
            let all = good + count;
            let limit = allowed * all as f64;
            let limit = if rounded { limit.ceil() } else { limit };
            if count as f64 > limit || (count > 0 && good == 0) {
                let worst = bad.iter().max_by_key(|(_, bad)| bad.count);
                let (reason, Bad { count: times, first }) =
                    worst.ok_or_else(|| anyhow::anyhow!("no reason is known"))?;
                anyhow::bail!(
                    "{count} of {all} {what} cannot be used, more than dataset.max_bad_fraction = {allowed}; {times} for this \
                     reason: {reason}; the first: {first}"
                );
            }
        }
        anyhow::ensure!(self.images > 0, "the dataset has no captioned image");
        Ok(())
    }

    /// What was left out, a line for each reason.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let bad =
            self.bad_images.iter().chain(&self.bad_captions).map(|(reason, Bad { count, first })| Warning {
                subject: first.clone(),
                reason: match count {
                    1 => format!("skipped: {reason}"),
                    count => format!("the first of {count} skipped: {reason}"),
                },
            });
        let unfetched = self.unfetched.iter().map(|(status, count)| Warning {
            subject: status.clone(),
            reason: format!("{count} images were never fetched, as img2dataset says"),
        });
        bad.chain(unfetched).collect()
    }
}

/// The rows of one shard.
pub(crate) struct Gathered<'a> {
    shard: &'a Shard,
    rules: &'a Rules,
    /// Whether rows that repeat an image's bytes are captions of one image.
    merges: bool,
    pub(crate) images: Vec<ImageRow>,
    /// The captions of each image.
    pub(crate) captions: Vec<Vec<String>>,
    pub(crate) seen: Seen,
    ids: HashSet<String>,
    by_hash: HashMap<String, usize>,
    waiting: Vec<Sample>,
    waiting_bytes: usize,
}

impl<'a> Gathered<'a> {
    pub(crate) fn new(shard: &'a Shard, rules: &'a Rules, merges: bool) -> Gathered<'a> {
        Gathered {
            shard,
            rules,
            merges,
            images: Vec::new(),
            captions: Vec::new(),
            seen: Seen::default(),
            ids: HashSet::new(),
            by_hash: HashMap::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
        }
    }

    pub(crate) fn caption_column(&self) -> &str {
        &self.rules.caption_column
    }

    /// Adds a sample.
    pub(crate) fn add(&mut self, sample: Sample) {
        self.waiting_bytes += sample.bytes.len();
        self.waiting.push(sample);
        if self.waiting.len() >= AT_ONCE || self.waiting_bytes >= BYTES_AT_ONCE {
            self.look();
        }
    }

    /// Counts an image that cannot be used.
    pub(crate) fn skip_image(&mut self, place: &str, reason: &str) {
        let first = format!("{} {place}", self.shard.name);
        count(&mut self.seen.bad_images, reason, Bad { count: 1, first });
    }

    /// Counts a caption that cannot be used.
    pub(crate) fn skip_caption(&mut self, place: &str, reason: &str) {
        let first = format!("{} {place}", self.shard.name);
        count(&mut self.seen.bad_captions, reason, Bad { count: 1, first });
    }

    /// Counts images that were never fetched.
    pub(crate) fn unfetched(&mut self, status: &str, images: u64) {
        *self.seen.unfetched.entry(status.to_owned()).or_default() += images;
    }

    /// All rows.
    pub(crate) fn finish(mut self) -> Gathered<'a> {
        self.look();
        self.seen.images = self.images.len() as u64;
        self.seen.captions = self.captions.iter().map(|captions| captions.len() as u64).sum();
        self
    }

    /// How many images the shard holds, whether they can be used or not.
    pub(crate) fn held(&self) -> u64 {
        let bad: u64 = self.seen.bad_images.values().map(|bad| bad.count).sum();
        (self.images.len() + self.waiting.len()) as u64 + bad
    }

    /// Looks at the images that wait.
    fn look(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let looked: Vec<Result<([u32; 2], String), String>> = waiting
            .par_iter()
            .map(|sample| {
                let (width, height) = imaging::probe(&sample.bytes).map_err(|error| error.to_string())?;
                Ok(([width, height], digest(&sample.bytes)))
            })
            .collect();
        for (sample, looked) in waiting.into_iter().zip(looked) {
            match looked {
                Ok((size, hash)) => self.keep(sample, size, hash),
                Err(reason) => self.skip_image(&sample.place, &reason),
            }
        }
    }

    fn keep(&mut self, sample: Sample, [width, height]: [u32; 2], content_hash: String) {
        let Sample { id, place, locator, captions, split, .. } = sample;
        let (mut sentences, mut empty) = (Vec::new(), 0);
        for caption in captions {
            let caption = caption.split_whitespace().collect::<Vec<_>>().join(" ");
            if caption.is_empty() { empty += 1 } else { sentences.push(caption) }
        }
        if empty > 0 && !sentences.is_empty() {
            (0..empty).for_each(|_| self.skip_caption(&place, "empty caption"));
        }
        if sentences.is_empty() {
            let reason = if empty > 0 { "empty caption" } else { "no caption" };
            return self.skip_image(&place, reason);
        }
        if self.merges
            && let Some(&number) = self.by_hash.get(&content_hash)
        {
            return self.captions[number].extend(sentences);
        }
        self.seen.own_splits += u64::from(split.is_some());
        let split = match split.or(self.shard.split) {
            Some(split) => split,
            None if self.rules.given => return self.skip_image(&place, "in none of the splits"),
            None => self.rules.draw(&content_hash),
        };
        let in_shard = || format!("{}/{place}", stem(&self.shard.name));
        let image_id = match (self.rules.ids, id) {
            (Ids::Own, Some(id)) => id,
            _ => in_shard(),
        };
        if !self.ids.insert(image_id.clone()) {
            return self.skip_image(
                &place,
                "another image of the shard has that name (dataset.ids = \"place\" tells them apart)",
            );
        }
        if self.merges
            && let Entry::Vacant(new) = self.by_hash.entry(content_hash.clone())
        {
            new.insert(self.images.len());
        }
        let row = ImageRow {
            image_id,
            path: String::new(),
            offset: None,
            length: None,
            row: None,
            split,
            width,
            height,
            content_hash,
        };
        self.images.push(row.at(locator));
        self.captions.push(sentences);
    }
}

/// A file's name without its ending.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
