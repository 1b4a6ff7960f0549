//! Images and their captions' words → a backbone that knows the dataset.
//!
//! The published networks know ImageNet's classes. Taught to predict the words that people use of the images, their deeper
//! blocks see what captions speak of; whoever reads their features writes better captions. The head that predicts the words is
//! kept with the weights: it names what is in a photo.

mod augment;
mod captions;
mod content;
mod examples;
mod feed;
mod objective;
mod quality;
mod settings;
mod start;
mod state;
mod tuner;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::Context as _;
use artifacts::features::WeightsOrigin;
use artifacts::images::{ImageRow, Images};
use artifacts::layout::TUNED_WEIGHTS;
use artifacts::tokens::{self, TokenRow};
use artifacts::vocabulary::{self, Vocabulary};
use artifacts::{Manifest, Recipe, Split, View};
use model::backbone::BackboneSpec;
use model::tuned::{TunedHeader, WordScores};
use model::weights::{self, FetchError, NamedArrays};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::{Map, Value, json};
use stage::guard::{Making, Work};
use stage::{Context, Outcome, Sources, Stage};
use tch::{Device, Tensor};
use torch::backbone::Trainable;
use torch::pretrained::Pretrained;
use torch::weights::{tensor, write_safetensors};

use augment::Augment;
use captions::Captions;
use examples::Examples;
use feed::{Feed, Reader};
use images::ImageSource;
use objective::Objective;
use start::{Start, Weights};
use state::State;
use tuner::Tuner;
use words::Words;

pub use settings::{Changes, Lesson, ObjectiveKind, Settings};

const SCHEMA_VERSION: u32 = 3;
/// Weights and Adam's two moments, twice while one state takes the other's place, and the published weights.
const COPIES: u64 = 7;

/// The stage `tune`: images and words to weights of each backbone whose features are to be those of tuned weights.
pub struct Tune;

impl Stage for Tune {
    const NAME: &'static str = "tune";
    const ABOUT: &'static str = "Teaches backbones the words of the captions";
    type Settings = Settings;

    fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
        check_values(settings, context)?;
        for backbone in from_published(settings, context)? {
            let absent = |error: FetchError| context.config.bad_value("run.weights", error.to_string());
            weights::find(backbone, &context.run.weights).map_err(absent)?;
        }
        Ok(())
    }

    fn prepare_process(_settings: &Settings, _context: &Context) -> anyhow::Result<()> {
        // Parts of a batch are computed side by side, each on one thread of libtorch.
        torch::threads::single();
        Ok(())
    }

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let wanted = wanted(settings, context)?;
        if wanted.is_empty() {
            context.note("tune: no backbone is to be tuned (preprocess.weights)");
        }
        wanted.into_iter().map(|wanted| tune(settings, wanted, context)).collect()
    }
}

/// Fetches the published weights that tuning begins with; returns where they are.
///
/// # Errors
/// Values that the stage refuses, or weights that are nowhere to be had.
pub fn fetch_weights(context: &Context) -> anyhow::Result<Vec<PathBuf>> {
    let settings = context.config.section(Tune::NAME)?;
    check_values(&settings, context)?;
    Ok(weights::ensure_all(from_published(&settings, context)?, &context.run.weights)?)
}

/// The backbones that begin with their published weights.
fn from_published(settings: &Settings, context: &Context) -> anyhow::Result<Vec<&'static BackboneSpec>> {
    let wanted = wanted(settings, context)?.into_iter();
    Ok(wanted.filter(|wanted| !wanted.lesson.starts_from_a_file()).map(|wanted| wanted.backbone).collect())
}

/// The check of all that the config says; published weights are not looked for.
fn check_values(settings: &Settings, context: &Context) -> anyhow::Result<()> {
    let sources = Sources::of(&context.config)?;
    if let Some(name) = settings.of.keys().find(|name| sources.onnx(name).is_some()) {
        let reason = "an ONNX network cannot be tuned: its features are those of its file";
        return Err(context.refuse::<Tune>(&format!("for.{name}"), reason).into());
    }
    let problem = settings.problem();
    let problem = problem.as_ref().map(|problem| (problem.key.as_str(), &problem.reason));
    context.refuse_any::<Tune, _>(problem)?;
    let view = view(context)?;
    for Wanted { backbone, lesson } in wanted(settings, context)? {
        let blocks = backbone.blocks();
        let reason = format!("{} has the blocks 0 to {}", backbone.name, blocks - 1);
        let key = |key| settings.key(backbone.name, key);
        let problem = (lesson.from_block >= blocks).then(|| (key("from_block"), reason));
        context.refuse_any::<Tune, _>(problem.as_ref().map(|(key, reason)| (key.as_str(), reason)))?;
        let refused = |reason: String| context.refuse::<Tune>(&key("start_from"), reason);
        if lesson.starts_from_a_file() && !lesson.start_from.is_file() {
            return Err(refused(format!("{} is not there", lesson.start_from.display())).into());
        }
        if lesson.objective == ObjectiveKind::Captions && lesson.epochs > 0 {
            let teacher = Pretrained::read(&lesson.start_from).map_err(anyhow::Error::from);
            let checked = teacher.and_then(|file| captions::check(&file, backbone, view));
            checked.map_err(|error| refused(format!("{error:#}")))?;
        }
    }
    torch::device::parse(&context.device)?;
    Ok(())
}

/// How images are shown to the networks: as the first of the views that features are made of.
fn view(context: &Context) -> anyhow::Result<View> {
    Ok(Sources::of(&context.config)?.views.first().copied().unwrap_or_default())
}

/// A backbone whose features are to be those of tuned weights.
struct Wanted {
    backbone: &'static BackboneSpec,
    lesson: Lesson,
}

fn wanted(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Wanted>> {
    let sources = Sources::of(&context.config)?;
    let tuned = sources.backbones().filter(|(_, weights)| *weights == WeightsOrigin::Tuned);
    let wanted = |(name, _)| {
        let unknown = |error| context.config.bad_value("preprocess.backbone", format!("{error}"));
        let backbone = BackboneSpec::named(name).map_err(unknown)?;
        Ok(Wanted { backbone, lesson: settings.lesson_of(name) })
    };
    tuned.map(wanted).collect()
}

fn tune(settings: &Settings, wanted: Wanted, context: &Context) -> anyhow::Result<Outcome> {
    let Wanted { backbone, lesson } = wanted;
    let start = Start::find(&lesson.start_from, backbone, context)?;
    let view = view(context)?;
    let mut plan = serde_json::to_value(settings)?;
    if let (Some(plan), Value::Object(lesson)) = (plan.as_object_mut(), serde_json::to_value(&lesson)?) {
        plan.extend(lesson);
        plan.retain(|key, _| !["start_from", settings::FOR].contains(&key.as_str()));
        plan.insert("backbone".to_owned(), json!(backbone.name));
        plan.insert("view".to_owned(), json!(view));
        plan.insert("seed".to_owned(), json!(context.run.seed));
    }
    let mut recipe = Recipe::new(Tune::NAME, SCHEMA_VERSION, &plan)?;
    recipe.inputs.extend([start.input.clone()]);
    let text = context.folder.text();
    let words = Manifest::read(&text)?.hash_of(&text, vocabulary::FILE)?;
    recipe = recipe
        .input(
            format!("dataset/{}", artifacts::images::FOLDER),
            Images::open(&context.folder.dataset())?.parts.hash(),
        )
        .input(format!("text/{}", vocabulary::FILE), words)
        .input(format!("text/{}", tokens::FOLDER), tokens::open(&text)?.hash());
    let folder = context.folder.tune(backbone.name);
    let make = |work| Tuning { settings, lesson: &lesson, backbone, view, context }.make(&start, work);
    context.guard(Tune::NAME, folder, recipe, Making::Resumed, make)
}

/// One backbone that is tuned.
struct Tuning<'a> {
    settings: &'a Settings,
    lesson: &'a Lesson,
    backbone: &'static BackboneSpec,
    view: View,
    context: &'a Context,
}

impl Tuning<'_> {
    fn make(&self, start: &Start, work: Work) -> anyhow::Result<Manifest> {
        let Tuning { settings, lesson, backbone, context, .. } = self;
        let weights = start.read(backbone)?;
        if lesson.epochs == 0 {
            return self.unpack(&weights, work);
        }
        let device = torch::device::parse(&context.device)?;
        let vocabulary = Vocabulary::read(&context.folder.text().join(vocabulary::FILE))?;
        let words: Vec<String> = vocabulary.words().take(settings.words).map(str::to_owned).collect();
        let content = content::indices(&words);
        let images = Images::open(&context.folder.dataset())?;
        let rows: Vec<ImageRow> = images.parts.all()?;
        let captions: Vec<TokenRow> = tokens::open(&context.folder.text())?.all()?;
        let [train, val] =
            [Split::Train, Split::Val].map(|split| Examples::new(&rows, split, &captions, &words));
        anyhow::ensure!(train.len() > 0, "no train image has captions: tuning needs some to learn from");
        anyhow::ensure!(val.len() > 0, "no val image has captions: tuning needs some to calibrate its head");
        let network = Trainable::build(backbone, &weights.tensors, lesson.from_block, device)?;
        let learning: usize = network.parameters().iter().map(|(_, tensor)| tensor.numel()).sum();
        context.note(&format!(
            "  {} train images, {} validation images, {} words, {:.1} M parameters learn",
            train.len(),
            val.len(),
            words.len(),
            learning as f64 / 1e6
        ));
        let head = Words::new(&train, &words, &weights, backbone.channels, device)?;
        let objective: Box<dyn Objective> = match lesson.objective {
            ObjectiveKind::Words => Box::new(head.share()),
            ObjectiveKind::Captions => {
                let file = Pretrained::read(&lesson.start_from)?;
                Box::new(Captions::new(head.share(), &train, &file, vocabulary, context.run.seed, device)?)
            }
        };
        let beside: usize = objective.parameters().iter().map(|(_, tensor)| tensor.numel()).sum();
        work.needs(COPIES * 4 * (backbone.parameters + beside as u64))?;
        let cores = available_parallelism().map_or(1, usize::from);
        let folder = work.path("");
        let feed = Feed {
            examples: &train,
            reader: Reader {
                source: ImageSource::open(&images.root)?,
                transform: backbone.transform_of(self.view),
            },
            augment: Augment { least_area: settings.least_area, light: settings.light },
            seed: context.run.seed,
            threads: &pool("read", cores)?,
        };
        let tuner = Tuner {
            settings,
            lesson,
            device,
            quiet: context.quiet,
            folder: &folder,
            state: State(work.scratch()),
            network,
            words: head,
            objective: objective.as_ref(),
            feed: &feed,
            val: &val,
            content: &content,
            networks: &pool("tune", if device.is_cuda() { 1 } else { cores })?,
            note: &|line| context.note(line),
        };
        let progress = tuner.run(&work.recipe().fingerprint())?;
        let predictions = tuner.predictions(&val)?;
        let calibration = predictions.calibration();
        let header = TunedHeader {
            backbone: backbone.name.to_owned(),
            scores: predictions.quality(&calibration),
            words: words.clone(),
            content: content.clone(),
            calibration,
            provenance: work.recipe().provenance(),
        };
        let mut work = work;
        for (path, reason) in progress.skipped {
            work.warn(path, reason);
        }
        let learnt = tuner.network.parameters().into_iter().chain(tuner.words.tensors());
        self.publish(&weights.tensors, learnt, &header, progress.steps, work)
    }

    /// Takes over what was tuned before.
    fn unpack(&self, weights: &Weights, work: Work) -> anyhow::Result<Manifest> {
        let header = weights.header.as_ref().with_context(|| {
            let path = self.lesson.start_from.display();
            format!(
                "tune.start_from: {path} holds no tuned {}: give tune.epochs at least 1",
                self.backbone.name
            )
        })?;
        let channels = i64::from(self.backbone.channels);
        let words = header.words.len() as i64;
        let head = [(model::tuned::WEIGHT, vec![words, channels]), (model::tuned::BIAS, vec![words])];
        let head =
            head.map(|(name, shape)| Ok((name.to_owned(), tensor(weights.tensors.get(name, &shape)?)?)));
        let head = head.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        self.publish(&weights.tensors, head, header, 0, work)
    }

    /// Writes the network's tensors, those that learnt in the place of the others, and the head. The classifier that the
    /// network was published with is left out: it no longer fits.
    fn publish(
        &self,
        start: &NamedArrays,
        learnt: impl IntoIterator<Item = (String, Tensor)>,
        header: &TunedHeader,
        steps: usize,
        work: Work,
    ) -> anyhow::Result<Manifest> {
        let names = self.backbone.tensors(start);
        let kept = names.iter().map(|(name, shape)| Ok((name.clone(), tensor(start.get(name, shape)?)?)));
        let mut tensors = kept.collect::<anyhow::Result<BTreeMap<String, Tensor>>>()?;
        tensors.extend(learnt);
        for tensor in tensors.values_mut() {
            *tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(tch::Kind::Float)?;
        }
        let entries = BTreeMap::from([header.entry()?]);
        write_safetensors(&work.path(TUNED_WEIGHTS), &tensors, &entries)?;
        let WordScores { mean_average_precision, calibration_error, words, images } = header.scores;
        let summary = Map::from_iter([
            ("steps".to_owned(), json!(steps)),
            ("mean_average_precision".to_owned(), json!(mean_average_precision)),
            ("calibration_error".to_owned(), json!(calibration_error)),
            ("words_scored".to_owned(), json!(words)),
            ("images_scored".to_owned(), json!(images)),
        ]);
        let log = learn::LOG_FILE;
        let files = [Some(TUNED_WEIGHTS), work.path(log).exists().then_some(log)];
        Ok(work.finish(&files.into_iter().flatten().collect::<Vec<_>>(), summary)?)
    }
}

/// Threads that compute with one thread of libtorch each.
fn pool(name: &'static str, threads: usize) -> anyhow::Result<ThreadPool> {
    let builder = ThreadPoolBuilder::new().num_threads(threads);
    let builder = builder.thread_name(move |number| format!("{name}-{number}"));
    Ok(builder.start_handler(|_| torch::threads::single()).build()?)
}
