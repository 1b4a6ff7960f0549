//! Features and tokens → a trained decoder in one safetensors file.
//!
//! Each decoder is trained into a folder of its own, on the same features with the same seed, so that what is left
//! between two of them is the architecture.

mod average;
mod captions;
mod data;
mod monitor;
mod objective;
mod progress;
mod reuse;
mod reward;
mod settings;
mod start;
mod state;
mod step;
mod team;
mod trainer;
mod validation;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::features::FeatureSpec;
use artifacts::preview::Preview;
use artifacts::tokens::TokenRow;
use artifacts::vocabulary::Vocabulary;
use artifacts::{Manifest, ModelId, Recipe, Split, tokens, vocabulary};
use model::checkpoint::{self, Header};
use model::decoder::DecoderConfig;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::{Map, Value, json};
use stage::guard::{Making, Work};
use stage::stop::{Stop, Stopped};
use stage::{Context, Outcome, Sources, Stage};
use tch::Device;
use tch::nn::VarStore;
use torch::decoder;
use torch::grids::GridStore;
use torch::pretrained::Pretrained;

use progress::Progress;
use state::State;
use team::Team;
use trainer::Trainer;
use validation::Validation;

pub use data::{Batch, Examples, Pick};
pub use monitor::Monitor;
pub use settings::{SelfCriticalSettings, Settings};

const SCHEMA_VERSION: u32 = 3;

/// The stage `train`: features and tokens to one model per decoder.
pub struct Train;

impl Stage for Train {
    const NAME: &'static str = "train";
    const ABOUT: &'static str = "Trains caption decoders on cached features";
    type Settings = Settings;

    fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
        let problem = settings.problem();
        context
            .refuse_any::<Self, _>(problem.as_ref().map(|problem| (problem.key.as_str(), &problem.reason)))?;
        torch::device::parse(&context.device)?;
        start::read(settings, context)?;
        Ok(())
    }

    fn foresee(_settings: &Settings, _context: &Context, preview: &Preview) -> anyhow::Result<()> {
        for (split, purpose) in [(Split::Train, "to learn from"), (Split::Val, "to choose the checkpoint by")]
        {
            anyhow::ensure!(
                preview.captions(split).next().is_some(),
                "the dataset will have no captioned {split} image, and training needs some {purpose}: \
                 give it more images, or another dataset.val_fraction and dataset.test_fraction"
            );
        }
        Ok(())
    }

    fn prepare_process(_settings: &Settings, _context: &Context) -> anyhow::Result<()> {
        // Micro-batches are computed side by side, each on one thread.
        torch::threads::single();
        Ok(())
    }

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let mut device = torch::device::parse(&context.device)?;
        // Before anything can fail in one process alone: the others would wait for it in vain.
        let team = Team::join(settings.micro_batches, &mut device)?;
        let context = &Context { quiet: context.quiet || !team.is_first(), ..context.clone() };
        let sources = Sources::of(&context.config)?;
        let sets = sources.sets();
        let pretrained = start::read(settings, context)?;
        let mut inputs = inputs(context, &sources)?;
        inputs.extend(pretrained.iter().map(|file| (start::INPUT.to_owned(), file.hash().to_owned())));
        let lack = settings.precision.lack(device);
        if let Some(lack) = lack {
            context.note(&format!("train.precision: {}", lack.said()));
        }
        let threads = threads(team.own().len())?;
        let stop = Stop::on_signals().context("cannot listen for signals")?;
        let stop = || stop.check();
        let around =
            Around { threads: &threads, team: &team, stop: &stop, device, sources: &sources, context };
        let mut outcomes = Vec::new();
        for &kind in &settings.chosen.decoders {
            let decoder = settings.sizes.get(kind);
            let settings = &settings.of(kind);
            let plan = settings.plan(&decoder, settings.precision.on(device), context.run.seed)?;
            let mut recipe = Recipe::new(Self::NAME, SCHEMA_VERSION, &plan)?;
            recipe.inputs.extend(inputs.clone());
            let model = ModelId::new(&sets, kind.as_str());
            let folder = context.folder.train(&model);
            if !team.is_first() {
                follow(settings, decoder, pretrained.as_ref(), &around, &recipe)?;
                continue;
            }
            let make = |mut work: Work| {
                work.of_model(model);
                if let Some(lack) = lack {
                    work.warn("train.precision", lack.said());
                }
                team.tell(Some(work.recipe().fingerprint()))?;
                lead(settings, decoder, pretrained.as_ref(), &around, work)
            };
            outcomes.push(context.guard(Self::NAME, folder, recipe, Making::Resumed, make)?);
            team.tell(None::<String>)?;
        }
        Ok(outcomes)
    }
}

/// Names and hashes of everything that training reads.
fn inputs(context: &Context, sources: &Sources) -> anyhow::Result<Vec<(String, String)>> {
    let text = context.folder.text();
    let manifest = Manifest::read(&text)?;
    let mut inputs = Vec::new();
    inputs.push((format!("text/{}", vocabulary::FILE), manifest.hash_of(&text, vocabulary::FILE)?));
    inputs.push((format!("text/{}", tokens::FOLDER), tokens::open(&text)?.hash()));
    for set in sources.sets().into_iter().chain(sources.mirrored_sets().unwrap_or_default()) {
        let manifest = shared::features(context, &set)?.manifest()?;
        inputs.push((format!("features/{set}"), manifest.hash_of_all()));
    }
    Ok(inputs)
}

/// Threads that compute with one thread of libtorch each: as many as cores, or as there are micro-batches.
fn threads(micro_batches: usize) -> anyhow::Result<ThreadPool> {
    let builder = ThreadPoolBuilder::new().num_threads(torch::threads::cores().min(micro_batches));
    let builder = builder.thread_name(|number| format!("train-{number}"));
    builder.start_handler(|_| torch::threads::single()).build().context("cannot start threads")
}

/// What all decoders are trained with.
struct Around<'a> {
    threads: &'a ThreadPool,
    team: &'a Team,
    stop: &'a dyn Fn() -> Result<(), Stopped>,
    device: Device,
    sources: &'a Sources,
    context: &'a Context,
}

/// Where a process of a training writes: checkpoints, logs and states only where it is the first.
struct Desk<'a> {
    folder: &'a Path,
    /// A finished training that this one takes the place of, if its cross-entropy phase may be used.
    earlier: Option<&'a Path>,
    state: State,
    /// Refuses a disk without room for a state of so many parameters.
    check: &'a dyn Fn(usize) -> anyhow::Result<()>,
}

/// Trains as the first process, or the only one.
fn lead(
    settings: &Settings,
    decoder: DecoderConfig,
    pretrained: Option<&Pretrained>,
    around: &Around,
    work: Work,
) -> anyhow::Result<Manifest> {
    let folder = work.path("");
    let replaced = Some(work.folder());
    let desk = Desk {
        folder: &folder,
        earlier: replaced.filter(|earlier| !around.context.force && Manifest::read(earlier).is_ok()),
        state: State(work.scratch()),
        check: &|parameters| Ok(work.needs(state::size(parameters))?),
    };
    let summary = train(settings, decoder, pretrained, around, work.recipe(), desk)?;
    let mut files = vec![checkpoint::FILE, learn::LOG_FILE];
    files.extend(work.path(reuse::FILE).exists().then_some(reuse::FILE));
    Ok(work.finish(&files, summary)?)
}

/// Trains as another process, where the first one has anything to do.
fn follow(
    settings: &Settings,
    decoder: DecoderConfig,
    pretrained: Option<&Pretrained>,
    around: &Around,
    recipe: &Recipe,
) -> anyhow::Result<()> {
    while let Some(fingerprint) = around.team.tell(None::<String>)? {
        anyhow::ensure!(
            fingerprint == recipe.fingerprint(),
            "the processes of this training have other settings or files than the first one: give all of them the same"
        );
        // Nothing that has a name is written there.
        let folder = around.context.folder.text();
        let desk = Desk { folder: &folder, earlier: None, state: State(PathBuf::new()), check: &|_| Ok(()) };
        train(settings, decoder.clone(), pretrained, around, recipe, desk)?;
    }
    Ok(())
}

/// Trains a decoder; returns what is to be said of it.
fn train(
    settings: &Settings,
    decoder_config: DecoderConfig,
    pretrained: Option<&Pretrained>,
    &Around { threads, team, stop, device, sources, context }: &Around,
    recipe: &Recipe,
    desk: Desk,
) -> anyhow::Result<Map<String, Value>> {
    let note = |line: &str| context.note(line);
    let vocabulary = Vocabulary::read(&context.folder.text().join(vocabulary::FILE))?;
    let (examples, validation, specs) = load(settings, &vocabulary, sources, context, desk.folder)?;
    tch::manual_seed(context.run.seed as i64);
    let store = VarStore::new(device);
    let header =
        Header { decoder: decoder_config, vocabulary, features: specs, provenance: recipe.provenance() };
    let precision = settings.precision.on(device);
    let (decoder, found_again) = match pretrained {
        Some(file) => {
            let (decoder, words) = start::from(file, &store, &header, precision, context)?;
            (decoder, Some(words))
        }
        None => (decoder::build(&header.decoder, &store.root(), header.dimensions(), precision)?, None),
    };
    let parameters: usize = store.trainable_variables().iter().map(|tensor| tensor.numel()).sum();
    note(&format!(
        "  {} train images, {} validation images, {:.1} M parameters",
        examples.len(),
        validation.len(),
        parameters as f64 / 1e6
    ));
    if team.processes() > 1 {
        note(&format!("  {} processes", team.processes()));
    }
    (desk.check)(parameters)?;
    let trainer = Trainer {
        settings,
        seed: context.run.seed,
        device,
        quiet: context.quiet,
        folder: desk.folder,
        earlier: desk.earlier,
        state: desk.state,
        warm: pretrained.is_some(),
        header,
        decoder,
        store,
        examples: &examples,
        validation: &validation,
        threads,
        team,
        stop,
        note: &note,
    };
    let Progress { done, best, .. } = trainer.run(&recipe.fingerprint())?;
    let mut summary = Map::from_iter([
        ("parameters".to_owned(), json!(parameters)),
        ("epochs".to_owned(), json!(done.epochs)),
        ("best_epoch".to_owned(), json!(best.map(|best| best.epoch))),
        ("best_validation_score".to_owned(), json!(best.map(|best| best.score))),
        ("steps".to_owned(), json!(done.steps)),
    ]);
    summary.extend(found_again.map(|words| ("words_found_again".to_owned(), json!(words))));
    Ok(summary)
}

/// What training reads: train and validation images, and what made their features. The captions are kept in a file in `folder`,
/// on the disk that has room for the training; it has no name, so nothing of it stays, however the training ends.
fn load(
    settings: &Settings,
    vocabulary: &Vocabulary,
    sources: &Sources,
    context: &Context,
    folder: &Path,
) -> anyhow::Result<(Examples, Validation, Vec<FeatureSpec>)> {
    let text = context.folder.text();
    let captions = tokens::open(&text)?;
    let of_split = |split| checked(captions.rows(), split, vocabulary);
    let place = || text.join(tokens::FOLDER).display().to_string();
    let open = |sets: Vec<String>, split, memory| -> anyhow::Result<GridStore> {
        let open = |set: &String| anyhow::Ok(shared::features(context, set)?.open(set)?);
        let sets = sets.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(GridStore::open(sets, split, memory)?)
    };
    let memory = settings.feature_memory_mb * 1_000_000;
    let train = open(sources.sets(), Split::Train, memory)?;
    if !train.is_resident() {
        context.note("  the features are read from disk as they are needed (train.feature_memory_mb)");
    }
    for warning in train.warnings() {
        context.note(&format!("  {warning}"));
    }
    let specs = train.specs().to_vec();
    let mirrored = sources.mirrored_sets();
    let mirrored = mirrored.map(|sets| open(sets, Split::Train, memory)).transpose()?;
    let with_words = settings.self_critical.epochs > 0;
    let file = tempfile::tempfile_in(folder).with_context(|| folder.display().to_string())?;
    let captions_of_train = of_split(Split::Train);
    let examples = Examples::new(train, mirrored, captions_of_train, file, with_words).with_context(place)?;
    anyhow::ensure!(!examples.is_empty(), "no train image has both features and captions");
    let validation = open(sources.sets(), Split::Val, 0)
        .context("training needs validation images to choose a checkpoint")?;
    let validation =
        Validation::new(validation, of_split(Split::Val), settings.validation_images).with_context(place)?;
    anyhow::ensure!(validation.len() > 0, "no validation image has both features and captions");
    Ok((examples, validation, specs))
}

/// The captions of a split, every id of which is of the vocabulary: the decoder has scores for no other.
fn checked<E: Into<anyhow::Error>>(
    rows: impl Iterator<Item = Result<TokenRow, E>>,
    split: Split,
    vocabulary: &Vocabulary,
) -> impl Iterator<Item = anyhow::Result<TokenRow>> {
    let words = vocabulary.len();
    let checked = rows.enumerate().map(move |(number, row)| {
        let row = row.map_err(Into::into)?;
        if let Some(id) = row.ids.iter().find(|id| **id as usize >= words) {
            anyhow::bail!(
                "row {number}: caption {} has the id {id}, and the vocabulary ids up to {}: run the text stage again with \
                 --force",
                row.caption_id,
                words - 1
            );
        }
        Ok(row)
    });
    checked.filter(move |row| row.as_ref().map_or(true, |row| row.split == split))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_beyond_the_vocabulary_is_named_with_its_row() {
        let vocabulary = Vocabulary::new(["dog".to_owned()]).unwrap();
        let row = |split, ids: &[u32]| TokenRow {
            image_id: "a".to_owned(),
            caption_id: 7,
            split,
            words: vec![],
            ids: ids.to_vec(),
            length: ids.len() as u32,
        };
        let read = |rows: &[TokenRow]| -> anyhow::Result<Vec<TokenRow>> {
            checked(rows.iter().cloned().map(anyhow::Ok), Split::Train, &vocabulary).collect()
        };
        let sound = [row(Split::Train, &[1, 4, 2]), row(Split::Val, &[1, 4, 2])];
        assert_eq!(read(&sound).unwrap(), sound[..1], "those of another split are left out");
        let error =
            read(&[row(Split::Train, &[1, 4, 2]), row(Split::Val, &[1, 5, 2])]).unwrap_err().to_string();
        assert!(error.contains("row 1: caption 7 has the id 5, and the vocabulary ids up to 4"), "{error}");
    }
}
