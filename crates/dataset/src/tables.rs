//! The `dataset` stage: a raw layout, checked and hashed, as two tables.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use artifacts::captions::CaptionRow;
use artifacts::images::Images;
use artifacts::preview::{Preview, PreviewRow};
use artifacts::recipe::{digest, digest_file};
use artifacts::{Manifest, Recipe, Split, captions, images, objects, table};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use stage::guard::{Making, Work};
use stage::progress::Progress;
use stage::{Context, Outcome, Stage};

use crate::demo;
use crate::examined::{self, Examined, Shares};
use crate::layout::{self, LayoutError, RawCaption, RawDataset};
use crate::spoilers;

const SCHEMA_VERSION: u32 = 3;

/// Settings of the `dataset` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// How the raw data lie on disk.
    pub layout: Layout,
    /// The dataset's folder. `table`: the CSV or JSONL file, with image paths relative to it, or the folder that holds it;
    /// `karpathy`, `coco`: also the JSON file itself.
    pub root: PathBuf,
    /// `scenes`: how many to draw.
    pub scenes: usize,
    /// Share of the images for val, where the dataset names no splits.
    pub val_fraction: f64,
    /// Share of the images for test, where the dataset names no splits; of the val images in `coco`.
    pub test_fraction: f64,
    /// The stage fails when a larger share of the images is missing or unreadable.
    pub max_bad_fraction: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            layout: Layout::Flickr8k,
            root: PathBuf::from("data/raw/flickr8k"),
            scenes: 2400,
            val_fraction: 0.1,
            test_fraction: 0.1,
            max_bad_fraction: 0.02,
        }
    }
}

/// How the raw data lie on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Nothing on disk yet: the demo scenes are drawn.
    Scenes,
    /// A folder of images, a captions file and split files, as Flickr8k and Flickr30k are distributed.
    Flickr8k,
    /// COCO's captions_train and captions_val files, or others in its format, with a folder of images each.
    Coco,
    /// Karpathy's splits of COCO, Flickr8k or Flickr30k: one JSON file.
    Karpathy,
    /// A table, CSV or JSONL: image, caption and, if wanted, split.
    Table,
    /// Images, each with a text file of captions beside it.
    Folder,
}

impl Layout {
    /// Reads the text files of a dataset at `root`; nothing for the scenes, which are not on disk.
    fn read(self, root: &Path) -> Result<Option<RawDataset>, LayoutError> {
        Ok(Some(match self {
            Layout::Scenes => return Ok(None),
            Layout::Flickr8k => layout::flickr8k::read(root)?,
            Layout::Coco => layout::coco::read(root)?,
            Layout::Karpathy => layout::karpathy::read(root)?,
            Layout::Table => layout::table::read(root, None)?,
            Layout::Folder => layout::folder::read(root)?,
        }))
    }
}

/// The stage `dataset`: raw images and captions to `images.parquet` and `captions.parquet`.
pub struct Dataset;

impl Stage for Dataset {
    const NAME: &'static str = "dataset";
    const ABOUT: &'static str = "Turns raw images and captions into two tables";
    type Settings = Settings;

    fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
        let share = |share: f64| (0.0..1.0).contains(&share);
        let fractions = settings.val_fraction + settings.test_fraction;
        let problems = [
            (
                settings.layout == Layout::Scenes && !demo::COUNTS.contains(&settings.scenes),
                "scenes",
                "must be at least 1 and at most 1000000",
            ),
            (!share(settings.val_fraction), "val_fraction", "must be at least 0 and below 1"),
            (!share(settings.test_fraction), "test_fraction", "must be at least 0 and below 1"),
            (
                fractions >= 1.0,
                "test_fraction",
                "must leave images to train on: below 1 together with val_fraction",
            ),
            (
                !(0.0..=1.0).contains(&settings.max_bad_fraction),
                "max_bad_fraction",
                "must lie between 0 and 1",
            ),
        ];
        let problem = problems.into_iter().find(|problem| problem.0).map(|(_, key, reason)| (key, reason));
        context.refuse_any::<Self, _>(problem)?;
        if settings.layout != Layout::Scenes && !settings.root.exists() {
            // A relative root starts from the working directory, which the whole path shows.
            let root = std::path::absolute(&settings.root).unwrap_or_else(|_| settings.root.clone());
            let reason = format!("{} does not exist: name the dataset's place", root.display());
            return Err(context.refuse::<Self>("root", reason).into());
        }
        Ok(())
    }

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let folder = context.folder.dataset();
        let raw = settings.layout.read(&settings.root)?;
        let recipe = recipe(settings, raw.as_ref(), context)?;
        let made = context
            .guard(Self::NAME, folder, recipe, Making::Anew, |work| make(settings, raw, context, work))?;
        Ok(vec![made])
    }
}

/// What the dataset will hold, as far as it can be known without reading an image.
///
/// # Errors
/// Values that the stage refuses, or text files of the dataset that cannot be read.
pub fn preview(context: &Context) -> anyhow::Result<Preview> {
    let settings = context.checked::<Dataset>()?;
    let raw = match settings.layout.read(&settings.root)? {
        Some(raw) => raw,
        None => demo::describe(settings.scenes, context.run.seed),
    };
    let names: Vec<&str> = raw.images.iter().map(|image| image.image_id.as_str()).collect();
    let splits = examined::splits(&raw, &names, &shares(&settings, context))?;
    let of_image: HashMap<&str, Split> =
        raw.images.iter().map(|image| image.image_id.as_str()).zip(splits).collect();
    let row = |caption: &RawCaption| {
        let split = *of_image.get(caption.image_id.as_str())?;
        Some(PreviewRow { image_id: caption.image_id.clone(), split, caption: caption.caption.clone() })
    };
    Ok(Preview(raw.captions.iter().filter_map(row).collect()))
}

/// Only what the layout reads is part of the recipe: the root of a raw dataset, the number of drawn scenes.
fn recipe(settings: &Settings, raw: Option<&RawDataset>, context: &Context) -> anyhow::Result<Recipe> {
    let common = json!({
        "layout": settings.layout,
        "seed": context.run.seed,
        "val_fraction": settings.val_fraction,
        "test_fraction": settings.test_fraction,
    });
    let with = |key: &str, value: serde_json::Value| {
        let mut settings = common.clone();
        settings[key] = value;
        Recipe::new(Dataset::NAME, SCHEMA_VERSION, &settings)
    };
    let Some(raw) = raw else { return Ok(with("scenes", json!(settings.scenes))?) };
    let mut recipe = with("root", json!(settings.root))?;
    let hashed = |source: &PathBuf| {
        let hash = digest_file(source).with_context(|| source.display().to_string())?;
        anyhow::Ok((source.display().to_string(), hash))
    };
    let sources = raw.sources.iter().map(hashed).collect::<anyhow::Result<Vec<_>>>()?;
    if settings.layout == Layout::Folder {
        // One entry for what may be thousands of small files.
        recipe = recipe.input(format!("{}/**", raw.root.display()), digest(&serde_json::to_vec(&sources)?));
    } else {
        for (source, hash) in sources {
            recipe = recipe.input(source, hash);
        }
    }
    recipe.watched.insert("images".to_owned(), watch(raw));
    Ok(recipe)
}

/// A hash over the size and time of every image file: enough to see that one changed, without reading it.
fn watch(raw: &RawDataset) -> String {
    let mut listing = String::new();
    for image in &raw.images {
        let metadata = std::fs::metadata(raw.root.join(&image.path)).ok();
        let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let size = metadata.map_or(0, |metadata| metadata.len());
        listing.push_str(&format!("{} {size} {modified:?}\n", image.path.display()));
    }
    digest(listing.as_bytes())
}

/// `raw` is what lies on disk; without it the demo scenes are drawn.
fn make(
    settings: &Settings,
    raw: Option<RawDataset>,
    context: &Context,
    mut work: Work,
) -> anyhow::Result<Manifest> {
    let mut files = vec![images::FILE, captions::FILE];
    // Drawn pictures belong to the artifact, and will lie where it does.
    let root = raw.as_ref().map_or_else(|| work.folder().join(""), |raw| raw.root.clone());
    let raw = match raw {
        Some(raw) => raw,
        None => {
            let progress = Progress::new(Dataset::NAME, "scenes", settings.scenes, context.quiet);
            let demo = demo::draw(&work.path(""), settings.scenes, context.run.seed, &progress)?;
            table::write(&work.path(objects::FILE), &demo.objects, work.recipe(), &[])?;
            files.push(objects::FILE);
            demo.dataset
        }
    };
    let progress = Progress::new(Dataset::NAME, "images", raw.images.len(), context.quiet);
    let examined = Examined::new(&raw, &shares(settings, context), &progress)?;
    examined.check(settings.max_bad_fraction)?;
    let Examined { rows, skipped, .. } = examined;
    let given = raw.images.iter().all(|image| image.split.is_some());
    let spoilers = spoilers::find(&rows, given);
    let notes = raw.notes.into_iter().map(|note| (note.what, note.reason));
    for (subject, reason) in spoilers.into_iter().chain(skipped).chain(notes) {
        work.warn(subject, reason);
    }
    let usable: HashSet<&str> = rows.iter().map(|row| row.image_id.as_str()).collect();
    let kept = raw.captions.into_iter().filter(|caption| usable.contains(caption.image_id.as_str()));
    let caption_rows: Vec<CaptionRow> = (0..)
        .zip(kept)
        .map(|(caption_id, raw)| CaptionRow { image_id: raw.image_id, caption_id, caption: raw.caption })
        .collect();
    let mut summary = Map::from_iter([("captions".to_owned(), json!(caption_rows.len()))]);
    for split in Split::ALL {
        let count = rows.iter().filter(|row| row.split == split).count();
        summary.insert(format!("{split}_images"), json!(count));
    }
    context.note(&format!("  {} images, {} captions", rows.len(), caption_rows.len()));
    table::write(&work.path(captions::FILE), &caption_rows, work.recipe(), &[])?;
    Images { root, rows }.write(&work.path(""), work.recipe())?;
    Ok(work.finish(&files, summary)?)
}

fn shares(settings: &Settings, context: &Context) -> Shares {
    Shares {
        val: settings.val_fraction,
        test: settings.test_fraction,
        test_of_val: settings.layout == Layout::Coco,
        seed: context.run.seed,
    }
}
