//! Every image read once: what is used of a raw dataset, in which split, and what is not.

use std::collections::HashMap;

use anyhow::Context as _;
use artifacts::images::ImageRow;
use artifacts::recipe::digest;
use artifacts::{Locator, Split};
use images::ImageSource;
use rayon::prelude::*;
use stage::progress::Progress;
use store::Folder;

use crate::layout::{LayoutError, RawDataset, split};

/// Shares of the images that the dataset itself does not put into a split.
pub(crate) struct Shares {
    pub(crate) val: f64,
    pub(crate) test: f64,
    /// Whether test is held out of the val that the dataset names, as of COCO, whose captions of test are not public.
    pub(crate) test_of_val: bool,
    pub(crate) seed: u64,
}

/// A raw dataset whose images were read.
pub(crate) struct Examined {
    pub(crate) rows: Vec<ImageRow>,
    /// What was left out, and why.
    pub(crate) skipped: Vec<(String, String)>,
    images: Count,
    captions: Count,
}

/// How many of something could not be used.
#[derive(Default)]
struct Count {
    bad: usize,
    all: usize,
    /// The first of them and why, in words.
    first: String,
}

impl Count {
    fn add_bad(&mut self, subject: &str, reason: &str) {
        if self.bad == 0 {
            self.first = format!("{subject}: {reason}");
        }
        self.bad += 1;
        self.all += 1;
    }
}

impl Examined {
    /// Reads every image of `raw`: its hash and its size as shown, or why it cannot be used.
    ///
    /// # Errors
    /// Shares that leave nothing to train on.
    pub(crate) fn new(raw: &RawDataset, shares: &Shares, progress: &Progress) -> Result<Self, LayoutError> {
        let source = ImageSource::of(Folder::local(&raw.root));
        let read = raw.images.par_iter().map(|image| {
            let read = (|| {
                let path = image.path.to_str().context("its name is not UTF-8")?.to_owned();
                let bytes = source.bytes(&Locator::file(path.clone()))?;
                let (width, height) = imaging::probe(&bytes)?;
                let content_hash = digest(&bytes);
                let (image_id, split) = (image.image_id.clone(), Split::Train);
                let (offset, length, row) = (None, None, None);
                Ok(ImageRow { image_id, path, offset, length, row, split, width, height, content_hash })
            })();
            progress.add(1);
            read
        });
        let read: Vec<anyhow::Result<ImageRow>> = read.collect();

        let mut images = Count::default();
        let mut captions = Count { all: raw.captions.len(), ..Count::default() };
        let mut skipped = Vec::new();
        for skip in &raw.skipped {
            let reason = format!("skipped: {}", skip.reason);
            if skip.is_row { &mut captions } else { &mut images }.add_bad(&skip.what, &reason);
            skipped.push((skip.what.clone(), reason));
        }
        let splits = splits_of_files(raw, &read, shares)?;
        let mut rows = Vec::with_capacity(read.len());
        for ((image, read), split) in raw.images.iter().zip(read).zip(splits) {
            match read {
                Ok(row) => {
                    images.all += 1;
                    rows.push(ImageRow { split, ..row });
                }
                Err(error) => {
                    let (path, reason) = (image.path.display().to_string(), format!("skipped: {error:#}"));
                    images.add_bad(&path, &reason);
                    skipped.push((path, reason));
                }
            }
        }
        Ok(Examined { rows, skipped, images, captions })
    }

    /// Refuses a dataset of which a larger share is bad than `allowed`. Of captions the share is rounded up: a stray row says
    /// nothing of the others.
    ///
    /// # Errors
    /// Also when there is no image to train on.
    pub(crate) fn check(&self, allowed: f64) -> anyhow::Result<()> {
        let limit = |count: &Count| allowed * count.all as f64;
        let bad = [
            (&self.images, limit(&self.images), "images"),
            (&self.captions, limit(&self.captions).ceil(), "captions or rows"),
        ];
        for (count, limit, what) in bad {
            anyhow::ensure!(
                count.bad as f64 <= limit,
                "{} of {} {what} cannot be used, more than dataset.max_bad_fraction = {allowed}; the first: {}",
                count.bad,
                count.all,
                count.first
            );
        }
        anyhow::ensure!(
            self.rows.iter().any(|row| row.split == Split::Train),
            "the dataset has no usable train image"
        );
        Ok(())
    }
}

/// The split of every image of `raw`: the dataset's own or, if it has none, a seeded one, decided for each by `names`.
///
/// # Errors
/// Shares that leave nothing to train on.
pub(crate) fn splits(raw: &RawDataset, names: &[&str], shares: &Shares) -> Result<Vec<Split>, LayoutError> {
    let Some(mut splits) = raw.images.iter().map(|image| image.split).collect::<Option<Vec<Split>>>() else {
        return split::assign(names, shares.seed, shares.val, shares.test);
    };
    if shares.test_of_val && !splits.contains(&Split::Test) {
        split::hold_out_test(names, &mut splits, shares.seed, shares.test)?;
    }
    Ok(splits)
}

/// The splits under which copies of a file stay together; where that would leave a split empty, every image is for itself.
fn splits_of_files(
    raw: &RawDataset,
    read: &[anyhow::Result<ImageRow>],
    shares: &Shares,
) -> Result<Vec<Split>, LayoutError> {
    let ids: Vec<&str> = raw.images.iter().map(|image| image.image_id.as_str()).collect();
    let alone = splits(raw, &ids, shares)?;
    let together = splits(raw, &same_files(raw, read), shares)?;
    let emptied = Split::ALL.iter().any(|split| alone.contains(split) && !together.contains(split));
    Ok(if emptied { alone } else { together })
}

/// The id that decides the split of each image: of files of equal bytes the least, so that copies stay together.
fn same_files<'a>(raw: &'a RawDataset, read: &[anyhow::Result<ImageRow>]) -> Vec<&'a str> {
    let hash = |number: usize| read[number].as_ref().ok().map(|row| row.content_hash.as_str());
    let ids = || raw.images.iter().map(|image| image.image_id.as_str()).enumerate();
    let mut least: HashMap<&str, &str> = HashMap::new();
    for (number, id) in ids() {
        if let Some(hash) = hash(number) {
            let least = least.entry(hash).or_insert(id);
            *least = (*least).min(id);
        }
    }
    ids().map(|(number, id)| hash(number).map_or(id, |hash| least[hash])).collect()
}
