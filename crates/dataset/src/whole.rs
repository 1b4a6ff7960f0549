//! Datasets of which all text is read at once: a few megabytes of captions beside gigabytes of images.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use anyhow::Context as _;
use artifacts::captions::{self, CaptionRow, caption_id};
use artifacts::images::{self, ImageRow, Images};
use artifacts::recipe::{digest, digest_file};
use artifacts::{Manifest, Recipe, Split, layout, objects, table};
use serde_json::{Map, json};
use stage::guard::{Making, Work};
use stage::progress::Progress;
use stage::{Context, Outcome, Stage as _};

use crate::examined::{Examined, Shares};
use crate::layout::RawDataset;
use crate::settings::{Layout, Settings};
use crate::{Dataset, SCHEMA_VERSION, demo, spoilers};

/// Images of one part: small sets have one.
const PART_IMAGES: usize = 50_000;

/// The work of the stage on such a dataset.
pub(crate) struct Whole<'a> {
    settings: &'a Settings,
    context: &'a Context,
    /// What lies on disk; without it the demo scenes are drawn.
    raw: Option<RawDataset>,
}

impl<'a> Whole<'a> {
    pub(crate) fn read(settings: &'a Settings, context: &'a Context) -> anyhow::Result<Whole<'a>> {
        Ok(Whole { settings, context, raw: settings.layout.read(&settings.root)? })
    }

    pub(crate) fn make(self) -> anyhow::Result<Outcome> {
        let recipe = self.recipe()?;
        let (context, folder) = (self.context, self.context.folder.dataset());
        context.guard(Dataset::NAME, folder, recipe, Making::Anew, |work| self.write(work))
    }

    /// Only what the layout reads is part of the recipe: the root of a raw dataset, the number of drawn scenes.
    fn recipe(&self) -> anyhow::Result<Recipe> {
        let Whole { settings, context, .. } = self;
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
        let Some(raw) = &self.raw else { return Ok(with("scenes", json!(settings.scenes))?) };
        let mut recipe = with("root", json!(settings.root))?;
        let hashed = |source: &PathBuf| {
            let hash = digest_file(source).with_context(|| source.display().to_string())?;
            anyhow::Ok((source.display().to_string(), hash))
        };
        let sources = raw.sources.iter().map(hashed).collect::<anyhow::Result<Vec<_>>>()?;
        if settings.layout == Layout::Folder {
            // One entry for what may be thousands of small files.
            recipe =
                recipe.input(format!("{}/**", raw.root.display()), digest(&serde_json::to_vec(&sources)?));
        } else {
            for (source, hash) in sources {
                recipe = recipe.input(source, hash);
            }
        }
        recipe.watched.insert("images".to_owned(), watch(raw));
        Ok(recipe)
    }

    fn write(self, mut work: Work) -> anyhow::Result<Manifest> {
        let Whole { settings, context, raw } = self;
        let mut files = Vec::new();
        // Drawn pictures belong to the artifact, and will lie where it does.
        let root = raw.as_ref().map_or_else(|| work.folder().join(""), |raw| raw.root.clone());
        let raw = match raw {
            Some(raw) => raw,
            None => {
                let progress = Progress::new(Dataset::NAME, "scenes", settings.scenes, context.quiet);
                let demo = demo::draw(&work.path(""), settings.scenes, context.run.seed, &progress)?;
                table::write(&work.path(objects::FILE), &demo.objects, work.recipe(), &[])?;
                files.push(objects::FILE.to_owned());
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
        let mut summary = Map::new();
        for split in Split::ALL {
            let count = rows.iter().filter(|row| row.split == split).count();
            summary.insert(format!("{split}_images"), json!(count));
        }
        let usable: HashSet<&str> = rows.iter().map(|row| row.image_id.as_str()).collect();
        let mut sentences: Vec<(String, String)> = Vec::with_capacity(raw.captions.len());
        for caption in raw.captions {
            if usable.contains(caption.image_id.as_str()) {
                sentences.push((caption.image_id, caption.caption));
            }
        }
        drop(usable);
        summary.insert("captions".to_owned(), json!(sentences.len()));
        context.note(&format!("  {} images, {} captions", rows.len(), sentences.len()));
        let root = root.to_string_lossy();
        for (number, (images, captions)) in in_parts(&rows, sentences).enumerate() {
            let name = layout::part_of(number, work.recipe(), "");
            let [captions_file, images_file] =
                [captions::FOLDER, images::FOLDER].map(|of| format!("{of}/{name}"));
            table::write(&work.path(&captions_file), &captions, work.recipe(), &[])?;
            Images::write_part(&work.path(""), &images_file, &root, images, work.recipe(), &[])?;
            files.extend([captions_file, images_file]);
        }
        Ok(work.finish(&files, summary)?)
    }
}

/// The images part by part, each part with its captions in the order of the dataset.
fn in_parts(
    rows: &[ImageRow],
    sentences: Vec<(String, String)>,
) -> impl Iterator<Item = (&[ImageRow], Vec<CaptionRow>)> {
    let chunks = rows.chunks(PART_IMAGES);
    let part_of: HashMap<&str, usize> = chunks
        .clone()
        .enumerate()
        .flat_map(|(part, images)| images.iter().map(move |image| (image.image_id.as_str(), part)))
        .collect();
    let mut captions: Vec<Vec<CaptionRow>> = chunks.clone().map(|_| Vec::new()).collect();
    for (image_id, caption) in sentences {
        if let Some(&part) = part_of.get(image_id.as_str()) {
            let caption_id = caption_id(part, captions[part].len());
            captions[part].push(CaptionRow { image_id, caption_id, caption });
        }
    }
    chunks.zip(captions)
}

pub(crate) fn shares(settings: &Settings, context: &Context) -> Shares {
    Shares {
        val: settings.val_fraction,
        test: settings.test_fraction,
        test_of_val: settings.layout == Layout::Coco,
        seed: context.run.seed,
    }
}

/// A hash over the size and time of every image file: enough to see that one changed, without reading it.
fn watch(raw: &RawDataset) -> String {
    let mut listing = String::new();
    for image in &raw.images {
        let stamp = store::stamp(&raw.root.join(&image.path));
        listing.push_str(&format!("{} {stamp}\n", image.path.display()));
    }
    digest(listing.as_bytes())
}
