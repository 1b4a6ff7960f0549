//! The evaluations of one split: the blind floor, the human line, every decoder, and what they gain over the baseline.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use anyhow::Context as _;
use artifacts::images::Images;
use artifacts::recipe::digest_file;
use artifacts::{Manifest, ModelId, Recipe, Split, captions, images, objects, per_image, tokens};
use metrics::bootstrap::Bootstrap;
use metrics::{MeteorSource, Tokens};
use model::checkpoint;
use model::search::SearchSettings;
use scoring::comparison::{self, ComparisonFile};
use scoring::{BLIND, HUMAN, Measure, ScoreFile};
use serde_json::{Map, json};
use stage::guard::{Making, Work};
use stage::{Context, Outcome, Stage};
use torch::checkpoint::{Model, load_ensemble};

use crate::grounding::{self, Objects};
use crate::guest::{self, Guest};
use crate::references::References;
use crate::results::{self, Captions};
use crate::{Evaluate, Settings, attention, blind, decode, html, human};

const SCHEMA_VERSION: u32 = 5;
/// Name of the comparison among the evaluations, after that of the features.
const COMPARISON: &str = "comparison";
/// The decoder that shows what attention adds.
const BASELINE: &str = "lstm";

/// What the evaluations of one split share.
pub(crate) struct Evaluation<'a> {
    settings: &'a Settings,
    context: &'a Context,
    references: OnceCell<References>,
    train: OnceCell<References>,
    known: OnceCell<HashSet<Tokens>>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(settings: &'a Settings, context: &'a Context) -> Self {
        let [references, train] = [OnceCell::new(), OnceCell::new()];
        Evaluation { settings, context, references, train, known: OnceCell::new() }
    }

    fn read<'b>(&'b self, cell: &'b OnceCell<References>, split: Split) -> anyhow::Result<&'b References> {
        if let Some(references) = cell.get() {
            return Ok(references);
        }
        let references = References::read(&self.context.folder, split)?;
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
            meteor: self.settings.meteor_jar.as_deref().map_or(MeteorSource::None, MeteorSource::Program),
            train: Some(self.known.get_or_init(|| results::known_captions(train))),
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
        let mut recipe = Recipe::new(Evaluate::NAME, SCHEMA_VERSION, &settings)?
            .input(format!("dataset/{}", images::FOLDER), Images::open(&dataset)?.parts.hash())
            .input(format!("dataset/{}", captions::FOLDER), captions::open(&dataset)?.hash())
            .input(format!("text/{}", tokens::FOLDER), tokens::open(&self.context.folder.text())?.hash());
        if let Some(jar) = &self.settings.meteor_jar {
            let hash = digest_file(jar)
                .with_context(|| format!("evaluate.meteor_jar: {} cannot be read", jar.display()))?;
            recipe = recipe.input("meteor", hash);
        }
        Ok(recipe)
    }

    /// The floor: one caption for every image, the best that the train captions offer.
    pub(crate) fn blind(&self) -> anyhow::Result<Outcome> {
        let seed = self.context.run.seed;
        let recipe = self.recipe(json!({ "model": BLIND, "seed": seed }))?;
        self.guard(BLIND, recipe, |mut work| {
            let references = self.references()?;
            let caption = blind::best_caption(self.train()?, seed)?;
            let given = Captions {
                model: BLIND,
                id: None,
                split: self.settings.split,
                references,
                captions: &blind::constant(references, &caption),
                grounding: None,
                details: json!({ "caption": caption }),
            };
            let (file, _) = results::write(&mut work, given, &self.measure()?)?;
            finish(work, &file, vec![])
        })
    }

    /// What people score against each other.
    pub(crate) fn human(&self) -> anyhow::Result<Outcome> {
        let seed = self.context.run.seed;
        let recipe = self.recipe(json!({ "model": HUMAN, "seed": seed }))?;
        self.guard(HUMAN, recipe, |mut work| {
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
                model: HUMAN,
                id: None,
                split: self.settings.split,
                references: &references,
                captions: &captions,
                grounding: None,
                details: json!({ "caption": "one reference, drawn by the seed, against the others" }),
            };
            // A reference of this split is no caption that was learnt: whether it occurs in train is the floor of novelty.
            let (file, _) = results::write(&mut work, given, &self.measure()?)?;
            finish(work, &file, vec![])
        })
    }

    /// What a captioner of others writes of the same images, where the settings name one.
    pub(crate) fn guest(&self) -> anyhow::Result<Option<Outcome>> {
        let Some(path) = self.settings.guest() else { return Ok(None) };
        let name = guest::name(path);
        let hash = digest_file(path).with_context(|| format!("evaluate.guest: {}", path.display()))?;
        let recipe = self.recipe(json!({ "model": name }))?.input("guest", hash);
        let made = self.guard(&name, recipe, |mut work| {
            let guest = Guest::open(path, self.context)?;
            let references = self.references()?;
            let given = Captions {
                model: &name,
                id: None,
                split: self.settings.split,
                references,
                captions: &guest.captions(references, self.context)?,
                grounding: None,
                details: json!({ "search": guest.search() }),
            };
            let (file, _) = results::write(&mut work, given, &self.measure()?)?;
            finish(work, &file, vec![])
        })?;
        Ok(Some(made))
    }

    /// What a trained decoder writes, or several together.
    pub(crate) fn model(&self, model: &ModelId) -> anyhow::Result<Outcome> {
        let Settings { split, search, attention_images, report_images, .. } = self.settings;
        let folder = &self.context.folder;
        let name = model.to_string();
        let place = |set: &String| anyhow::Ok((shared::features(self.context, set)?, set.clone()));
        let features = model.sets.iter().map(place).collect::<anyhow::Result<Vec<_>>>()?;
        let mut recipe = self.recipe(json!({
            "model": model, "search": search, "attention_images": attention_images,
            "report_images": report_images,
        }))?;
        let mut checkpoints = BTreeMap::new();
        for member in model.members() {
            let train = folder.train(&member);
            let hash = Manifest::read(&train)?.hash_of(&train, checkpoint::FILE)?;
            recipe = recipe.input(format!("train/{member}/{}", checkpoint::FILE), &hash);
            checkpoints.insert(member.to_string(), hash);
        }
        for (place, set) in &features {
            recipe = recipe.input(format!("features/{set}"), place.manifest()?.hash_of_all());
        }
        if let Some(hash) = Objects::hash(&folder.dataset())? {
            recipe = recipe.input(format!("dataset/{}", objects::FILE), hash);
        }
        // The report shows them beside the model.
        let guest = self.settings.guest().map(guest::name);
        let beside = [HUMAN, BLIND].into_iter().chain(guest.as_deref());
        let beside: Vec<_> = beside.map(|other| folder.evaluate(other, *split)).collect();
        for folder in &beside {
            recipe =
                recipe.input(format!("evaluate/{}", named(folder)), Manifest::read(folder)?.hash_of_all());
        }
        self.guard(&name, recipe, |mut work| {
            work.of_model(model.clone());
            let device = torch::device::parse(&self.context.device)?;
            let paths: Vec<_> =
                model.members().map(|member| folder.train(member).join(checkpoint::FILE)).collect();
            let network = load_ensemble(&paths, device)?;
            let references = self.references()?;
            let captions = decode::captions(&network, &features, self.settings, references, self.context)
                .with_context(|| format!("{name} on {split}"))?;
            let seen = decode::seen(&network)?;
            let grounding = match Objects::hash(&folder.dataset())? {
                Some(_) => {
                    let objects = Objects::read(&folder.dataset())?;
                    grounding::measure(&captions, &objects, &seen.transform, seen.grid)
                }
                None => None,
            };
            let given = Captions {
                model: &name,
                id: Some(model),
                split: *split,
                references,
                captions: &captions,
                grounding,
                details: details(&network, search, &checkpoints),
            };
            let (file, scores) = results::write(&mut work, given, &self.measure()?)?;
            let mut files =
                attention::draw(&work, &seen.transform, seen.grid, &captions, references, *attention_images)?;
            let mut systems = vec![];
            for folder in &beside {
                if ScoreFile::is_in(&Manifest::read(folder)?) {
                    systems.push(ScoreFile::read(folder)?);
                }
            }
            let said = guest.as_ref().map(|name| results::captions(&folder.evaluate(name, *split)));
            let said = said.transpose()?.unwrap_or_default();
            let gallery = html::Gallery {
                captions: &captions,
                references,
                scores: &scores,
                seen: &seen,
                guest: guest.as_deref().map(|name| (name, said.as_slice())),
            };
            files.push(html::write(&mut work, &file, &systems, gallery.first(*report_images))?);
            finish(work, &file, files)
        })
    }

    /// Every decoder against the one without attention; `None` when that one was not trained, or alone.
    pub(crate) fn comparison(&self, models: &[ModelId]) -> anyhow::Result<Option<Outcome>> {
        let (baselines, others): (Vec<&ModelId>, Vec<&ModelId>) =
            models.iter().partition(|model| model.decoders == [BASELINE]);
        let (Some(baseline), false) = (baselines.first(), others.is_empty()) else { return Ok(None) };
        let folder = |model: &ModelId| self.context.folder.evaluate(model, self.settings.split);
        let named = |model: &ModelId| (model.to_string(), folder(model));
        let ((baseline, without), others) =
            (named(baseline), others.into_iter().map(named).collect::<Vec<_>>());
        let settings = json!({ "baseline": baseline, "bootstrap": self.bootstrap() });
        let mut recipe = Recipe::new(Evaluate::NAME, SCHEMA_VERSION, &settings)?;
        for (name, folder) in models.iter().map(named) {
            let hash = Manifest::read(&folder)?.hash_of(&folder, per_image::FILE)?;
            recipe = recipe.input(format!("evaluate/{name}"), hash);
        }
        let name = format!("{}-{COMPARISON}", models[0].sets.join("+"));
        let made = self.guard(&name, recipe, |work| {
            let file = ComparisonFile::new((&baseline, &without), &others, self.bootstrap())?;
            artifacts::atomic::write_json(&work.path(comparison::FILE), &file)
                .context("cannot write the comparison")?;
            Ok(work.finish(&[comparison::FILE], Map::new())?)
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
            Making::Anew,
            make,
        )
    }
}

/// What `scores.json` says of the model beside its scores.
fn details(
    model: &Model,
    search: &SearchSettings,
    checkpoints: &BTreeMap<String, String>,
) -> serde_json::Value {
    let decoder = match checkpoints.len() {
        1 => json!(model.header.decoder),
        _ => json!({ "kind": "ensemble", "members": checkpoints.keys().collect::<Vec<_>>() }),
    };
    json!({
        "search": search,
        "parameters": model.parameters(),
        "checkpoints": checkpoints,
        "decoder": decoder,
        "features": model.header.features,
    })
}

fn finish(work: Work, file: &ScoreFile, more: Vec<String>) -> anyhow::Result<Manifest> {
    let files: Vec<String> = results::FILES.map(str::to_owned).into_iter().chain(more).collect();
    let summary = Map::from_iter([("scores".to_owned(), json!(file.sheet.scores))]);
    Ok(work.finish(&files, summary)?)
}

/// The system whose evaluation lies in `folder`, `…/<name>/<split>`.
fn named(folder: &Path) -> String {
    let name = folder.parent().and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().into_owned()
}
