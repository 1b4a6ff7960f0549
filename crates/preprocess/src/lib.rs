//! Images → grids of CNN features, cached in Parquet.
//!
//! Every worker thread decodes its images and runs them through its own handle on the backbone, with libtorch's inner
//! threads off: no thread waits for another, and memory is bounded by one part.

mod extract;

use std::path::Path;
use std::sync::mpsc::sync_channel;

use anyhow::Context as _;
use artifacts::cli::{Context, Outcome, Stage};
use artifacts::config::DEFAULT_BACKBONE;
use artifacts::features::{self, FeatureKey, FeatureRow, FeatureSpec};
use artifacts::images::{ImageRow, Images};
use artifacts::manifest::Warning;
use artifacts::progress::Progress;
use artifacts::stage::Work;
use artifacts::{Manifest, Recipe, images};
use model::backbone::{Backbone, BackboneSpec};
use model::weights;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use extract::Extractor;

const SCHEMA_VERSION: u32 = 1;

/// Settings of the `preprocess` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The CNN; `preprocess backbones` lists them.
    pub backbone: String,
    /// Images a Parquet part; a killed run loses one part at most.
    pub part_images: usize,
    /// The stage fails when a larger share of the images cannot be read.
    pub max_bad_fraction: f64,
    /// Threads; 0 takes all cores. Changes nothing in the result.
    pub workers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            backbone: DEFAULT_BACKBONE.to_owned(),
            part_images: 512,
            max_bad_fraction: 0.02,
            workers: 0,
        }
    }
}

/// The stage.
pub struct Preprocess;

impl Stage for Preprocess {
    const NAME: &'static str = "preprocess";
    const ABOUT: &'static str = "Turns images into grids of CNN features";
    type Settings = Settings;

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let bad_value = |key: &str, reason: String| context.config.bad_value(key, reason);
        if settings.part_images == 0 {
            return Err(bad_value("preprocess.part_images", "must be at least 1".to_owned()).into());
        }
        let backbone = BackboneSpec::named(&settings.backbone)
            .map_err(|error| bad_value("preprocess.backbone", error.to_string()))?;
        let weights = weights::find(backbone, &context.run.weights)?;
        let weights_sha256 = weights::sha256_file(&weights).with_context(|| weights.display().to_string())?;
        let extractor = recipe(settings, backbone, &weights_sha256)?;
        let dataset = context.folder.dataset();
        let images_hash = Manifest::read(&dataset)?.hash_of(&dataset, images::FILE)?;
        let recipe = extractor.clone().input(format!("dataset/{}", images::FILE), images_hash);
        let folder = context.folder.features(backbone.name);
        let made = context.guard(Self::NAME, folder, recipe, |work| {
            let (extractor, backbone) =
                Extractor::load(backbone, &weights, weights_sha256, extractor, context)?;
            extract(settings, &extractor, &backbone, context, work)
        })?;
        Ok(vec![made])
    }
}

/// What decides the features of an image, whatever the other images are.
fn recipe(settings: &Settings, backbone: &BackboneSpec, weights_sha256: &str) -> anyhow::Result<Recipe> {
    let decisive = json!({
        "backbone": backbone.name,
        "transform": backbone.transform,
        "part_images": settings.part_images,
    });
    let recipe = Recipe::new(Preprocess::NAME, SCHEMA_VERSION, &decisive)?;
    Ok(recipe.input(format!("weights/{}", backbone.name), format!("sha256:{weights_sha256}")))
}

/// A finished part on its way to disk.
struct Part {
    file: String,
    spec: FeatureSpec,
    rows: Vec<FeatureRow>,
    skipped: Vec<Warning>,
    keys: Vec<FeatureKey>,
}

fn extract(
    settings: &Settings,
    extractor: &Extractor,
    backbone: &Backbone,
    context: &Context,
    mut work: Work,
) -> anyhow::Result<Manifest> {
    let images = Images::read(&context.folder.dataset())?;
    let parts: Vec<&[ImageRow]> = images.rows.chunks(settings.part_images).collect();
    let progress = Progress::new(&extractor.spec.backbone, "images", images.rows.len(), context.quiet);
    let pool = extractor.pool(settings.workers)?;
    let mut skipped = Vec::new();
    let mut reused = 0;
    // One part is written while the next one is computed.
    let (sender, receiver) = sync_channel::<Part>(1);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let writer = scope.spawn(|| -> anyhow::Result<()> {
            for part in receiver {
                let Part { file, spec, rows, skipped, keys } = part;
                features::write_part(&work.path(&file), &spec, &rows, &skipped, &extractor.recipe, &keys)?;
            }
            Ok(())
        });
        let mut compute = || -> anyhow::Result<()> {
            for (number, rows) in parts.iter().enumerate() {
                let file = features::part_file(number);
                let keys: Vec<FeatureKey> = rows.iter().map(key).collect();
                let complete = features::complete_part(&work.path(&file), &extractor.recipe, &keys);
                if let Some(warnings) = complete.filter(|_| !context.force) {
                    reused += 1;
                    skipped.extend(warnings);
                    progress.add(rows.len());
                    continue;
                }
                let (rows, warnings) = extractor.run(backbone, &pool, &images.root, rows, &progress)?;
                skipped.extend(warnings.clone());
                let part = Part { file, spec: extractor.spec.clone(), rows, skipped: warnings, keys };
                if sender.send(part).is_err() {
                    return Ok(()); // the writer failed, and says why below
                }
            }
            Ok(())
        };
        let computed = compute();
        drop(sender);
        let written = writer.join().map_err(|_| anyhow::anyhow!("the Parquet writer panicked"))?;
        computed.and(written)
    })?;
    drop(progress);
    check_skipped(&skipped, images.rows.len(), settings.max_bad_fraction)?;
    let files: Vec<String> = (0..parts.len()).map(features::part_file).collect();
    remove_other_parts(&work, &files)?;
    if reused > 0 {
        context.note(&format!("  {reused} of {} parts were complete already", parts.len()));
    }
    let summary = Map::from_iter([
        ("images".to_owned(), json!(images.rows.len() - skipped.len())),
        ("skipped".to_owned(), json!(skipped.len())),
        ("grid".to_owned(), json!(extractor.spec.grid)),
        ("channels".to_owned(), json!(extractor.spec.channels)),
    ]);
    for warning in skipped {
        work.warn(warning.subject, warning.reason);
    }
    Ok(work.finish(&files, summary)?)
}

fn key(row: &ImageRow) -> FeatureKey {
    FeatureKey { image_id: row.image_id.clone(), split: row.split, content_hash: row.content_hash.clone() }
}

fn check_skipped(skipped: &[Warning], images: usize, max_bad_fraction: f64) -> anyhow::Result<()> {
    if let Some(first) = skipped.first() {
        let share = skipped.len() as f64 / images as f64;
        anyhow::ensure!(
            share <= max_bad_fraction && skipped.len() < images,
            "{} of {images} images cannot be used, more than preprocess.max_bad_fraction = {max_bad_fraction}; the first: {}: {}",
            skipped.len(),
            first.subject,
            first.reason
        );
    }
    Ok(())
}

/// Removes parts that a larger dataset, or smaller parts, left behind.
fn remove_other_parts(work: &Work, files: &[String]) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(work.path(""))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_part =
            name.starts_with("part-") && Path::new(&name).extension().is_some_and(|end| end == "parquet");
        if is_part && !files.contains(&name) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
