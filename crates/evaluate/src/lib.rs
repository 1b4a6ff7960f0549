//! A trained decoder and a split → captions, scores that say how they were made, pictures of the attention, and a report.
//!
//! Every finished decoder of the configured features is evaluated, beside the best caption that a blind model could
//! give and what people score against each other, so that the table shows what sight is worth, and what attention is.
//! The `evaluate` program also scores captions of any other system ([`command`]).

mod ablation;
mod attention;
mod blind;
mod coco;
pub mod command;
mod compare;
mod decode;
mod grounding;
mod html;
mod human;
mod references;
mod score;
mod sheet;
mod table;
mod view;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::cli::{Context, Outcome, Stage};
use artifacts::features::joined_name;
use artifacts::layout::model_name;
use artifacts::recipe::digest_file;
use artifacts::stage::Work;
use artifacts::{Manifest, Recipe, Split, captions, images, objects, per_image};
use metrics::Tokens;
use metrics::bootstrap::Bootstrap;
use model::checkpoint::{self, Model};
use model::search::SearchSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use compare::ComparisonFile;
use grounding::Objects;
use references::References;
use score::{Captions, ScoreFile};
use sheet::Measure;

const SCHEMA_VERSION: u32 = 2;
/// The decoder that shows what attention adds.
const BASELINE: &str = "lstm";

/// Settings of the `evaluate` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The split to caption: val while choosing, test once at the end.
    pub split: Split,
    /// How captions are searched.
    pub search: SearchSettings,
    /// Images whose attention is drawn.
    pub attention_images: usize,
    /// Images in the gallery of the report, about 15 KB each.
    pub report_images: usize,
    /// Draws of the bootstrap behind intervals and p-values.
    pub resamples: usize,
    /// The jar of METEOR 1.5, which needs Java; without it METEOR is not computed.
    pub meteor_jar: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            split: Split::Val,
            search: SearchSettings::default(),
            attention_images: 8,
            report_images: 1000,
            resamples: 1000,
            meteor_jar: None,
        }
    }
}

/// The stage.
pub struct Evaluate;

impl Stage for Evaluate {
    const NAME: &'static str = "evaluate";
    const ABOUT: &'static str = "Captions a split and scores the captions";
    type Settings = Settings;

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        if let Some((key, reason)) = settings.search.problem() {
            return Err(context
                .config
                .bad_value(&format!("evaluate.search.{key}"), reason.to_owned())
                .into());
        }
        if settings.resamples == 0 {
            return Err(context
                .config
                .bad_value("evaluate.resamples", "must be at least 1".to_owned())
                .into());
        }
        let sets = context.config.feature_sets()?;
        let features = joined_name(&sets);
        let names = trained_models(&context.folder.path().join("train"), &features)?;
        anyhow::ensure!(
            !names.is_empty(),
            "no decoder is trained on {features} features: run the train stage"
        );
        let evaluation = Evaluation {
            settings,
            context,
            references: OnceCell::new(),
            train: OnceCell::new(),
            known: OnceCell::new(),
        };
        let mut outcomes = vec![evaluation.blind()?, evaluation.human()?];
        for name in &names {
            outcomes.push(evaluation.model(name, &sets)?);
        }
        let comparison = evaluation.comparison(&names, &model_name(&features, BASELINE))?;
        if !context.quiet {
            print(&outcomes, comparison.as_ref())?;
        }
        outcomes.extend(comparison);
        Ok(outcomes)
    }
}

/// What the evaluations of one split share.
struct Evaluation<'a> {
    settings: &'a Settings,
    context: &'a Context,
    references: OnceCell<References>,
    train: OnceCell<References>,
    known: OnceCell<HashSet<Tokens>>,
}

impl Evaluation<'_> {
    fn read<'b>(&'b self, cell: &'b OnceCell<References>, split: Split) -> anyhow::Result<&'b References> {
        if let Some(references) = cell.get() {
            return Ok(references);
        }
        let references = References::read(&self.context.folder.dataset(), split)?;
        Ok(cell.get_or_init(|| references))
    }

    fn references(&self) -> anyhow::Result<&References> {
        self.read(&self.references, self.settings.split)
    }

    fn train(&self) -> anyhow::Result<&References> {
        self.read(&self.train, Split::Train)
    }

    fn measure(&self) -> anyhow::Result<Measure<'_>> {
        let train = self.train()?;
        Ok(Measure {
            bootstrap: self.bootstrap(),
            meteor_jar: self.settings.meteor_jar.as_deref(),
            train: Some(self.known.get_or_init(|| score::known_captions(train))),
        })
    }

    fn bootstrap(&self) -> Bootstrap {
        Bootstrap { resamples: self.settings.resamples, seed: self.context.run.seed }
    }

    /// A recipe with the dataset, and all that decides scores, as input.
    fn recipe(&self, settings: serde_json::Value) -> anyhow::Result<Recipe> {
        let settings = json!({
            "split": self.settings.split, "bootstrap": self.bootstrap(), "system": settings,
        });
        let dataset = self.context.folder.dataset();
        let manifest = Manifest::read(&dataset)?;
        let mut recipe = Recipe::new(Evaluate::NAME, SCHEMA_VERSION, &settings)?;
        for file in [images::FILE, captions::FILE] {
            recipe = recipe.input(format!("dataset/{file}"), manifest.hash_of(&dataset, file)?);
        }
        if let Some(jar) = &self.settings.meteor_jar {
            let hash = digest_file(jar)
                .with_context(|| format!("evaluate.meteor_jar: {} cannot be read", jar.display()))?;
            recipe = recipe.input("meteor", hash);
        }
        Ok(recipe)
    }

    /// The floor: one caption for every image, the best that the train captions offer.
    fn blind(&self) -> anyhow::Result<Outcome> {
        let seed = self.context.run.seed;
        let recipe = self.recipe(json!({ "model": blind::NAME, "seed": seed }))?;
        self.guard(blind::NAME, recipe, |mut work| {
            let references = self.references()?;
            let caption = blind::best_caption(self.train()?, seed)?;
            let given = Captions {
                model: blind::NAME,
                split: self.settings.split,
                references,
                captions: &references.constant(&caption),
                grounding: None,
                details: json!({ "caption": caption }),
            };
            let (file, _) = score::write(&mut work, given, &self.measure()?)?;
            finish(work, &file, vec![])
        })
    }

    /// What people score against each other.
    fn human(&self) -> anyhow::Result<Outcome> {
        let seed = self.context.run.seed;
        let recipe = self.recipe(json!({ "model": human::NAME, "seed": seed }))?;
        self.guard(human::NAME, recipe, |mut work| {
            let all = self.references()?;
            let (references, captions) = human::captions(all, seed);
            let alone = all.0.len() - references.0.len();
            if alone > 0 {
                work.warn(format!("{alone} images"), "have a single reference and are left out");
            }
            if references.0.is_empty() {
                return Ok(work.finish(&[] as &[&str], Map::new())?);
            }
            let given = Captions {
                model: human::NAME,
                split: self.settings.split,
                references: &references,
                captions: &captions,
                grounding: None,
                details: json!({ "caption": "one reference, drawn by the seed, against the others" }),
            };
            // A reference of this split is no caption that was learnt: whether it occurs in train is the floor of novelty.
            let (file, _) = score::write(&mut work, given, &self.measure()?)?;
            finish(work, &file, vec![])
        })
    }

    fn model(&self, name: &str, sets: &[String]) -> anyhow::Result<Outcome> {
        let Settings { split, search, attention_images, report_images, .. } = self.settings;
        let folder = &self.context.folder;
        let train = folder.train(name);
        let features: Vec<_> = sets.iter().map(|set| (folder.features(set), set.clone())).collect();
        let checkpoint_hash = Manifest::read(&train)?.hash_of(&train, checkpoint::FILE)?;
        let mut recipe = self
            .recipe(json!({
                "model": name, "search": search, "attention_images": attention_images,
                "report_images": report_images,
            }))?
            .input(format!("train/{name}/{}", checkpoint::FILE), &checkpoint_hash);
        for (folder, set) in &features {
            recipe = recipe.input(format!("features/{set}"), Manifest::read(folder)?.hash_of_all());
        }
        if let Some(hash) = Objects::hash(&folder.dataset())? {
            recipe = recipe.input(format!("dataset/{}", objects::FILE), hash);
        }
        // The report shows them beside the model.
        let beside = [human::NAME, blind::NAME].map(|other| folder.evaluate(other, *split));
        for folder in &beside {
            recipe =
                recipe.input(format!("evaluate/{}", named(folder)), Manifest::read(folder)?.hash_of_all());
        }
        self.guard(name, recipe, |mut work| {
            let device = model::device::parse(&self.context.device)?;
            let model = checkpoint::load(&train.join(checkpoint::FILE), device)?;
            let references = self.references()?;
            let captions = decode::captions(&model, &features, self.settings, references, self.context)
                .with_context(|| format!("{name} on {split}"))?;
            let seen = decode::seen(&model)?;
            let grounding = match Objects::hash(&folder.dataset())? {
                Some(_) => {
                    let objects = Objects::read(&folder.dataset())?;
                    grounding::measure(&captions, &objects, &seen.transform, seen.grid)
                }
                None => None,
            };
            let given = Captions {
                model: name,
                split: *split,
                references,
                captions: &captions,
                grounding,
                details: details(&model, search, &checkpoint_hash),
            };
            let (file, scores) = score::write(&mut work, given, &self.measure()?)?;
            let mut files =
                attention::draw(&work, &seen.transform, seen.grid, &captions, references, *attention_images)?;
            let mut systems = vec![];
            for folder in &beside {
                if has_scores(&Manifest::read(folder)?) {
                    systems.push(ScoreFile::read(folder)?);
                }
            }
            let gallery = html::Gallery { captions: &captions, references, scores: &scores, seen: &seen };
            files.push(html::write(&mut work, &file, &systems, gallery.first(*report_images))?);
            finish(work, &file, files)
        })
    }

    /// Every decoder against the one without attention; `None` when that one was not trained, or alone.
    fn comparison(&self, names: &[String], features: &str) -> anyhow::Result<Option<Outcome>> {
        let baseline = model_name(features, BASELINE);
        let folder = |name: &str| self.context.folder.evaluate(name, self.settings.split);
        let others: Vec<(String, PathBuf)> =
            names.iter().filter(|name| **name != baseline).map(|name| (name.clone(), folder(name))).collect();
        if others.len() == names.len() || others.is_empty() {
            return Ok(None);
        }
        let settings = json!({ "baseline": baseline, "bootstrap": self.bootstrap() });
        let mut recipe = Recipe::new(Evaluate::NAME, SCHEMA_VERSION, &settings)?;
        for name in names {
            let hash = Manifest::read(&folder(name))?.hash_of(&folder(name), per_image::FILE)?;
            recipe = recipe.input(format!("evaluate/{name}"), hash);
        }
        let made = self.guard(&model_name(features, compare::NAME), recipe, |work| {
            let file = compare::compare((&baseline, &folder(&baseline)), &others, self.bootstrap())?;
            artifacts::atomic::write_json(&work.path(compare::FILE), &file)
                .context("cannot write the comparison")?;
            Ok(work.finish(&[compare::FILE], Map::new())?)
        })?;
        Ok(Some(made))
    }

    fn guard(
        &self,
        name: &str,
        recipe: Recipe,
        make: impl FnOnce(Work) -> anyhow::Result<Manifest>,
    ) -> anyhow::Result<Outcome> {
        self.context.guard(
            Evaluate::NAME,
            self.context.folder.evaluate(name, self.settings.split),
            recipe,
            make,
        )
    }
}

/// What `scores.json` says of the model beside its scores.
fn details(model: &Model, search: &SearchSettings, checkpoint: &str) -> serde_json::Value {
    json!({
        "search": search,
        "parameters": model.parameters(),
        "checkpoint": checkpoint,
        "decoder": model.header.decoder,
        "features": model.header.features,
    })
}

fn finish(work: Work, file: &ScoreFile, more: Vec<String>) -> anyhow::Result<Manifest> {
    let files: Vec<String> = score::FILES.map(str::to_owned).into_iter().chain(more).collect();
    let summary = Map::from_iter([("scores".to_owned(), json!(file.sheet.scores))]);
    Ok(work.finish(&files, summary)?)
}

/// Whether there were captions to score: people who wrote one reference each cannot be compared.
pub(crate) fn has_scores(manifest: &Manifest) -> bool {
    manifest.outputs.iter().any(|output| output.file == score::FILE)
}

/// The name of the system whose evaluation lies in `folder`, `…/<name>/<split>`.
fn named(folder: &Path) -> String {
    let name = folder.parent().and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Prints the scores of all evaluated systems on stdout, protocol first.
fn print(outcomes: &[Outcome], comparison: Option<&Outcome>) -> anyhow::Result<()> {
    let scored = outcomes.iter().filter(|outcome| has_scores(&outcome.manifest));
    let files = scored.map(|outcome| ScoreFile::read(&outcome.folder)).collect::<Result<Vec<_>, _>>()?;
    let comparison = comparison.map(|outcome| -> anyhow::Result<ComparisonFile> {
        let path = outcome.folder.join(compare::FILE);
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    });
    let text = table::evaluation(&files, comparison.transpose()?.as_ref());
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Names of the finished decoders trained on some features, in alphabetical order.
fn trained_models(folder: &Path, features: &str) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name.starts_with(&model_name(features, ""));
        if ours && entry.path().join(artifacts::manifest::FILE).is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
