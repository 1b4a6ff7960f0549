//! A trained decoder and a split → captions, scores that say how they were made, and pictures of the attention.
//!
//! Every finished decoder of the configured backbone is evaluated, beside the best caption that a blind model could
//! give, so that the table shows what sight is worth, and what attention is.

mod attention;
mod blind;
mod decode;
mod references;
mod report;
mod score;

use std::cell::OnceCell;
use std::path::Path;

use artifacts::cli::{Context, Outcome, Stage};
use artifacts::features::joined_name;
use artifacts::layout::model_name;
use artifacts::{Manifest, Recipe, Split, captions, images};
use model::checkpoint;
use model::search::SearchSettings;
use serde::{Deserialize, Serialize};
use serde_json::json;

use references::References;

const SCHEMA_VERSION: u32 = 1;

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
}

impl Default for Settings {
    fn default() -> Self {
        Settings { split: Split::Val, search: SearchSettings::default(), attention_images: 8 }
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
        let sets = context.config.feature_sets()?;
        let features = joined_name(&sets);
        let evaluation = Evaluation { settings, context, references: OnceCell::new() };
        let mut outcomes = vec![evaluation.blind()?];
        let models = trained_models(&context.folder.path().join("train"), &features)?;
        anyhow::ensure!(
            !models.is_empty(),
            "no decoder is trained on {features} features: run the train stage"
        );
        for name in models {
            outcomes.push(evaluation.model(&name, &sets)?);
        }
        if !context.quiet {
            report::print(&outcomes)?;
        }
        Ok(outcomes)
    }
}

/// What the evaluations of one split share.
struct Evaluation<'a> {
    settings: &'a Settings,
    context: &'a Context,
    references: OnceCell<References>,
}

impl Evaluation<'_> {
    fn references(&self) -> anyhow::Result<&References> {
        if let Some(references) = self.references.get() {
            return Ok(references);
        }
        let references = References::read(&self.context.folder.dataset(), self.settings.split)?;
        Ok(self.references.get_or_init(|| references))
    }

    /// A recipe with the dataset as input.
    fn recipe(&self, settings: &impl Serialize) -> anyhow::Result<Recipe> {
        let dataset = self.context.folder.dataset();
        let manifest = Manifest::read(&dataset)?;
        let mut recipe = Recipe::new(Evaluate::NAME, SCHEMA_VERSION, settings)?;
        for file in [images::FILE, captions::FILE] {
            recipe = recipe.input(format!("dataset/{file}"), manifest.hash_of(&dataset, file)?);
        }
        Ok(recipe)
    }

    /// The floor: one caption for every image, the best that the train captions offer.
    fn blind(&self) -> anyhow::Result<Outcome> {
        let split = self.settings.split;
        let seed = self.context.run.seed;
        let recipe = self.recipe(&json!({ "model": blind::NAME, "split": split, "seed": seed }))?;
        let folder = self.context.folder.evaluate(blind::NAME, split);
        self.context.guard(Evaluate::NAME, folder, recipe, |work| {
            let references = self.references()?;
            let caption = blind::best_caption(&self.context.folder.dataset(), seed)?;
            let captions = references.constant(&caption);
            score::write(
                work,
                blind::NAME,
                split,
                json!({ "caption": caption }),
                references,
                captions,
                vec![],
            )
        })
    }

    fn model(&self, name: &str, sets: &[String]) -> anyhow::Result<Outcome> {
        let Settings { split, search, attention_images } = self.settings;
        let train = self.context.folder.train(name);
        let features: Vec<_> =
            sets.iter().map(|set| (self.context.folder.features(set), set.clone())).collect();
        let settings = json!({
            "model": name, "split": split, "search": search, "attention_images": attention_images,
        });
        let mut recipe = self.recipe(&settings)?.input(
            format!("train/{name}/{}", checkpoint::FILE),
            Manifest::read(&train)?.hash_of(&train, checkpoint::FILE)?,
        );
        for (folder, set) in &features {
            recipe = recipe.input(format!("features/{set}"), Manifest::read(folder)?.hash_of_all());
        }
        let folder = self.context.folder.evaluate(name, *split);
        self.context.guard(Evaluate::NAME, folder, recipe, |work| {
            let device = model::device::parse(&self.context.device)?;
            let model = checkpoint::load(&train.join(checkpoint::FILE), device)?;
            let references = self.references()?;
            let captions = decode::captions(&model, &features, self.settings, references, self.context)?;
            let pictures = attention::draw(&work, &model, &captions, references, *attention_images)?;
            let protocol = json!({ "search": search, "parameters": model.parameters() });
            score::write(work, name, *split, protocol, references, captions, pictures)
        })
    }
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
