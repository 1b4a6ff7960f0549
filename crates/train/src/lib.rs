//! Features and tokens → a trained decoder in one safetensors file.
//!
//! Each decoder is trained into a folder of its own, on the same features with the same seed, so that what is left
//! between two of them is the architecture.

mod adam;
mod average;
mod data;
mod log;
mod objective;
mod reuse;
mod reward;
mod settings;
mod state;
mod tensorboard;
mod trainer;
mod validation;

use std::path::PathBuf;

use anyhow::Context as _;
use artifacts::captions::CaptionRow;
use artifacts::cli::{Context, Outcome, Stage};
use artifacts::features::{FeatureSpec, FeatureStore, joined_name};
use artifacts::layout::model_name;
use artifacts::stage::Work;
use artifacts::tokens::TokenRow;
use artifacts::vocabulary::Vocabulary;
use artifacts::{Manifest, Recipe, Split, captions, images, table, tokens, vocabulary};
use model::checkpoint::{self, Header};
use model::decoder::DecoderConfig;
use model::precision::Precision;
use serde_json::{Map, json};
use tch::nn::VarStore;

use data::Examples;
use trainer::Trainer;
use validation::Validation;

pub use settings::{DecoderKind, Monitor, Schedule, SelfCriticalSettings, Settings};

const SCHEMA_VERSION: u32 = 1;

/// The stage.
pub struct Train;

impl Stage for Train {
    const NAME: &'static str = "train";
    const ABOUT: &'static str = "Trains caption decoders on cached features";
    type Settings = Settings;

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        if let Some((key, reason)) = settings.problem() {
            return Err(context.config.bad_value(key, reason.to_owned()).into());
        }
        let sets = context.config.feature_sets()?;
        let inputs = inputs(context, &sets)?;
        let mut outcomes = Vec::new();
        for &kind in &settings.decoders {
            let decoder = settings.decoder(kind);
            let mut recipe =
                Recipe::new(Self::NAME, SCHEMA_VERSION, &settings.plan(&decoder, context.run.seed)?)?;
            recipe.inputs.extend(inputs.clone());
            let folder = context.folder.train(&model_name(&joined_name(&sets), kind.as_str()));
            outcomes.push(context.guard(Self::NAME, folder.clone(), recipe, |work| {
                if context.force {
                    state::remove(&folder)?;
                    reuse::remove(&folder)?;
                }
                train(settings, decoder, &sets, context, work)
            })?);
        }
        Ok(outcomes)
    }
}

/// Names and hashes of everything that training reads.
fn inputs(context: &Context, sets: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let (dataset, text) = (context.folder.dataset(), context.folder.text());
    let from = |folder: &std::path::Path, stage: &str, file: &str| -> anyhow::Result<_> {
        Ok((format!("{stage}/{file}"), Manifest::read(folder)?.hash_of(folder, file)?))
    };
    let mut inputs = vec![
        from(&dataset, "dataset", images::FILE)?,
        from(&dataset, "dataset", captions::FILE)?,
        from(&text, "text", vocabulary::FILE)?,
        from(&text, "text", tokens::FILE)?,
    ];
    let mirrored = context.config.mirrored_feature_sets()?.unwrap_or_default();
    for set in sets.iter().chain(&mirrored) {
        let manifest = Manifest::read(&context.folder.features(set))?;
        inputs.push((format!("features/{set}"), manifest.hash_of_all()));
    }
    Ok(inputs)
}

fn train(
    settings: &Settings,
    decoder_config: DecoderConfig,
    sets: &[String],
    context: &Context,
    work: Work,
) -> anyhow::Result<Manifest> {
    let device = model::device::parse(&context.device)?;
    model::matmul::set_fast(settings.precision == Precision::Bf16)?;
    let vocabulary = Vocabulary::read(&context.folder.text().join(vocabulary::FILE))?;
    let (examples, validation, specs) = load(settings, sets, context)?;
    tch::manual_seed(context.run.seed as i64);
    let store = VarStore::new(device);
    let header = Header {
        decoder: decoder_config,
        vocabulary,
        features: specs,
        provenance: work.recipe().provenance(),
    };
    let decoder = header.decoder.build(&store.root(), header.dimensions(), settings.precision)?;
    let parameters: usize = store.trainable_variables().iter().map(|tensor| tensor.numel()).sum();
    context.note(&format!(
        "  {} train images, {} validation images, {:.1} M parameters",
        examples.len(),
        validation.len(),
        parameters as f64 / 1e6
    ));
    let (folder, checkpoint) = (work.path(""), work.path(checkpoint::FILE));
    let trainer = Trainer {
        settings,
        seed: context.run.seed,
        device,
        quiet: context.quiet,
        folder: &folder,
        checkpoint: &checkpoint,
        header,
        decoder,
        store,
    };
    let fingerprint = work.recipe().fingerprint();
    let trained = trainer.run(&examples, &validation, &fingerprint, |line| context.note(line))?;
    let summary = Map::from_iter([
        ("parameters".to_owned(), json!(parameters)),
        ("epochs".to_owned(), json!(trained.epochs)),
        ("best_epoch".to_owned(), json!(trained.best_epoch)),
        ("best_validation_score".to_owned(), json!(trained.best_score)),
        ("steps".to_owned(), json!(trained.steps)),
    ]);
    Ok(work.finish(&[checkpoint::FILE, log::FILE], summary)?)
}

/// What training reads: train and validation images, and what made their features.
fn load(
    settings: &Settings,
    sets: &[String],
    context: &Context,
) -> anyhow::Result<(Examples, Validation, Vec<FeatureSpec>)> {
    let (dataset, text) = (context.folder.dataset(), context.folder.text());
    let (token_rows, _) = table::read::<TokenRow>(&text.join(tokens::FILE))?;
    let (caption_rows, _) = table::read::<CaptionRow>(&dataset.join(captions::FILE))?;
    let folders = |sets: &[String]| -> Vec<(PathBuf, String)> {
        sets.iter().map(|set| (context.folder.features(set), set.clone())).collect()
    };
    let memory = settings.feature_memory_mb * 1_000_000;
    let train = FeatureStore::open(&folders(sets), Split::Train, memory)?;
    if !train.is_resident() {
        context.note("  the features are read from disk as they are needed (train.feature_memory_mb)");
    }
    let specs = train.specs().to_vec();
    let mirrored = context.config.mirrored_feature_sets()?;
    let mirrored =
        mirrored.map(|sets| FeatureStore::open(&folders(&sets), Split::Train, memory)).transpose()?;
    let examples = Examples::new(train, mirrored, &token_rows, &caption_rows);
    anyhow::ensure!(examples.len() > 0, "no train image has both features and captions");
    let validation = FeatureStore::open(&folders(sets), Split::Val, 0)
        .context("training needs validation images to choose a checkpoint")?;
    let validation = Validation::new(validation, &caption_rows, settings.validation_images);
    anyhow::ensure!(validation.len() > 0, "no validation image has both features and captions");
    Ok((examples, validation, specs))
}
