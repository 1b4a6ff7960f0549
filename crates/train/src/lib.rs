//! Features and tokens → a trained decoder in one safetensors file.
//!
//! Each decoder is trained into a folder of its own, on the same features with the same seed, so that what is left
//! between two of them is the architecture.

mod adam;
mod data;
mod log;
mod settings;
mod state;
mod tensorboard;
mod trainer;
mod validation;

use anyhow::Context as _;
use artifacts::captions::CaptionRow;
use artifacts::cli::{Context, Outcome, Stage};
use artifacts::features::FeatureSet;
use artifacts::layout::model_name;
use artifacts::stage::Work;
use artifacts::tokens::TokenRow;
use artifacts::vocabulary::Vocabulary;
use artifacts::{Manifest, Recipe, Split, captions, images, table, tokens, vocabulary};
use model::checkpoint::{self, Header};
use model::decoder::{DecoderConfig, Dimensions};
use serde_json::{Map, json};
use tch::nn::VarStore;

use data::Examples;
use trainer::Trainer;
use validation::Validation;

pub use settings::{DecoderKind, Monitor, Schedule, Settings};

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
        let backbone = context.config.backbone()?;
        let inputs = inputs(context, &backbone)?;
        let mut outcomes = Vec::new();
        for &kind in &settings.decoders {
            let decoder = settings.decoder(kind);
            let mut recipe =
                Recipe::new(Self::NAME, SCHEMA_VERSION, &settings.plan(&decoder, context.run.seed))?;
            recipe.inputs.extend(inputs.clone());
            let folder = context.folder.train(&model_name(&backbone, kind.as_str()));
            outcomes.push(context.guard(Self::NAME, folder.clone(), recipe, |work| {
                if context.force {
                    state::remove(&folder)?;
                }
                train(settings, decoder, &backbone, context, work)
            })?);
        }
        Ok(outcomes)
    }
}

/// Names and hashes of everything that training reads.
fn inputs(context: &Context, backbone: &str) -> anyhow::Result<Vec<(String, String)>> {
    let (dataset, text, features) =
        (context.folder.dataset(), context.folder.text(), context.folder.features(backbone));
    let from = |folder: &std::path::Path, stage: &str, file: &str| -> anyhow::Result<_> {
        Ok((format!("{stage}/{file}"), Manifest::read(folder)?.hash_of(folder, file)?))
    };
    Ok(vec![
        from(&dataset, "dataset", images::FILE)?,
        from(&dataset, "dataset", captions::FILE)?,
        from(&text, "text", vocabulary::FILE)?,
        from(&text, "text", tokens::FILE)?,
        (format!("features/{backbone}"), Manifest::read(&features)?.hash_of_all()),
    ])
}

fn train(
    settings: &Settings,
    decoder_config: DecoderConfig,
    backbone: &str,
    context: &Context,
    work: Work,
) -> anyhow::Result<Manifest> {
    let device = model::device::parse(&context.device)?;
    let vocabulary = Vocabulary::read(&context.folder.text().join(vocabulary::FILE))?;
    let (examples, validation, spec) = load(settings, backbone, context)?;
    tch::manual_seed(context.run.seed as i64);
    let store = VarStore::new(device);
    let dimensions = Dimensions { channels: spec.channels as i64, vocabulary: vocabulary.len() as i64 };
    let decoder = decoder_config.build(&store.root(), dimensions);
    let parameters: usize = store.trainable_variables().iter().map(|tensor| tensor.numel()).sum();
    context.note(&format!(
        "  {} train images, {} validation images, {:.1} M parameters",
        examples.len(),
        validation.len(),
        parameters as f64 / 1e6
    ));
    let header = Header {
        decoder: decoder_config,
        vocabulary,
        features: spec,
        provenance: work.recipe().provenance(),
    };
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

fn load(
    settings: &Settings,
    backbone: &str,
    context: &Context,
) -> anyhow::Result<(Examples, Validation, artifacts::features::FeatureSpec)> {
    let (dataset, text, features) =
        (context.folder.dataset(), context.folder.text(), context.folder.features(backbone));
    let (token_rows, _) = table::read::<TokenRow>(&text.join(tokens::FILE))?;
    let (caption_rows, _) = table::read::<CaptionRow>(&dataset.join(captions::FILE))?;
    let train = FeatureSet::load(&features, backbone, Split::Train)?;
    let spec = train.spec.clone();
    let examples = Examples::new(train, &token_rows);
    anyhow::ensure!(examples.len() > 0, "no train image has both features and captions");
    let validation = FeatureSet::load(&features, backbone, Split::Val)
        .context("training needs validation images to choose a checkpoint")?;
    let validation = Validation::new(validation, &caption_rows, settings.validation_images);
    anyhow::ensure!(validation.len() > 0, "no validation image has both features and captions");
    Ok((examples, validation, spec))
}
