//! Images → grids of CNN features, cached in Parquet.
//!
//! Each backbone and each view of the images gives a set of features in a folder of its own. A set is made in parts;
//! a part is complete or absent, and the rows of older parts are used again wherever the image is the same.

pub mod adopt;
mod contact_sheet;
mod engine;
mod extract;
mod foreign;
pub mod inspect;
pub mod part;
mod parts;
mod pipeline;
mod sharing;
mod weights;

use std::path::PathBuf;

use anyhow::Context as _;
use artifacts::features::{Dtype, FeatureSpec};
use artifacts::images::Images;
use artifacts::manifest::Warning;
use artifacts::table::TableError;
use artifacts::{Manifest, Recipe, View};
use images::ImageSource;
use model::grids::transform;
use onnx::LibraryError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared::FeaturePlace;
use stage::guard::{Making, Work};
use stage::progress::Progress;
use stage::{Context, Outcome, Shard, Sources, Stage};
use torch::backbone::Placement;
use torch::device::DeviceError;
use torch::precision::{Precision, SlowPrecision};

use engine::{Engine, Network};
use extract::Decoder;
use foreign::{Foreign, Made};
use parts::{Old, Parts, Writer};
use pipeline::Threads;
use sharing::SharedSet;
use weights::{Chosen, Weights};

pub use engine::EngineChoice;
pub use weights::fetch_weights;

const SCHEMA_VERSION: u32 = 3;
/// More threads than a machine has cores.
const MOST_WORKERS: usize = 1024;

/// Settings of the `preprocess` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Backbones, their weights, and views.
    #[serde(flatten)]
    pub sources: Sources,
    /// The numbers inside the network; f32 where the processor would have to emulate bf16. As bf16 moves features, no value
    /// leaves the choice to the machine.
    pub precision: Precision,
    /// "auto" is the faster one. They differ by rounding, so processes that make parts of one set on GPUs and on CPUs should name
    /// one. The network of preprocess.onnx is always run by "onnx", on the CPU.
    pub engine: EngineChoice,
    /// How the features are stored.
    pub dtype: Dtype,
    /// Images a Parquet part; a killed run loses one part at most.
    pub part_images: usize,
    /// The stage fails when a larger share of the images cannot be read.
    pub max_bad_fraction: f64,
    /// Threads; 0 takes all cores. Changes nothing in the result.
    pub workers: usize,
    /// Makes only every n-th part, from the i-th on: "i/n". Left empty, what launched the process says it by variables of the
    /// environment: torchrun, an Indexed Job of Kubernetes, Slurm, mpirun.
    pub shard: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sources: Sources::default(),
            precision: Precision::F32,
            engine: EngineChoice::Auto,
            dtype: Dtype::F16,
            part_images: 512,
            max_bad_fraction: 0.02,
            workers: 0,
            shard: String::new(),
        }
    }
}

/// The stage `preprocess`: images to one folder of features per backbone and view.
pub struct Preprocess;

impl Stage for Preprocess {
    const NAME: &'static str = "preprocess";
    const ABOUT: &'static str = "Turns images into grids of CNN features";
    type Settings = Settings;

    fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
        check_values(settings, context)?;
        if context.part.is_none() {
            Shard::choose(&settings.shard).map_err(|reason| context.refuse::<Self>("shard", reason))?;
        }
        let missing = |error| match error {
            LibraryError::Memory(_) => anyhow::Error::from(error),
            error => context
                .refuse::<Self>("engine", format!("{error}; or take preprocess.engine = \"torch\""))
                .into(),
        };
        settings.engine.on(placement(settings, context)?).check().map_err(missing)?;
        weights::check(settings, context)
    }

    fn prepare_process(_settings: &Settings, _context: &Context) -> anyhow::Result<()> {
        // Networks run side by side, each on one thread of libtorch.
        torch::threads::single();
        Ok(())
    }

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        if let Some(lack) = lack(settings, context)? {
            context.note(&format!("preprocess.precision: {}", lack.said()));
        }
        shared::fetch_dataset(context)?;
        let backbones = backbones(settings, context)?;
        let sets = sets(&backbones, settings, context)?;
        if let Some(number) = context.part {
            return part::make(number, &sets, settings, context);
        }
        let shard = context.shard::<Self>(&settings.shard)?;
        let mut outcomes = Vec::new();
        for set in &sets {
            outcomes.extend(set.make(shard)?);
        }
        Ok(outcomes)
    }
}

/// The backbones of the sets, with their files: what is absent is known before the first image is read.
fn backbones<'a>(settings: &'a Settings, context: &Context) -> anyhow::Result<Vec<Backbone<'a>>> {
    let find = |chosen| Backbone::find(chosen, context);
    weights::backbones(settings, context)?.into_iter().map(find).collect()
}

/// The sets that the settings name.
fn sets<'a>(
    backbones: &'a [Backbone],
    settings: &'a Settings,
    context: &'a Context,
) -> anyhow::Result<Vec<Set<'a>>> {
    let views = &settings.sources.views;
    let of = |backbone| views.iter().map(move |&view| Set::new(backbone, view, settings, context));
    backbones.iter().flat_map(of).collect()
}

/// The check of all that the config says; weights are not looked for.
fn check_values(settings: &Settings, context: &Context) -> anyhow::Result<()> {
    context.refuse_any::<Preprocess, _>(settings.sources.problem())?;
    let share = (0.0..=1.0).contains(&settings.max_bad_fraction);
    let problems = [
        (settings.part_images == 0, "part_images", "must be at least 1"),
        (settings.workers > MOST_WORKERS, "workers", "must be at most 1024; 0 takes all cores"),
        (!share, "max_bad_fraction", "must lie between 0 and 1"),
    ];
    let problem = problems.into_iter().find(|problem| problem.0).map(|(_, key, reason)| (key, reason));
    context.refuse_any::<Preprocess, _>(problem)?;
    weights::backbones(settings, context)?;
    let on_gpu = torch::device::parse(&context.device)?.is_cuda();
    let problem = settings.engine.problem(settings.precision, on_gpu).map(|reason| ("engine", reason));
    Ok(context.refuse_any::<Preprocess, _>(problem)?)
}

/// Where networks compute, and with which numbers.
fn placement(settings: &Settings, context: &Context) -> anyhow::Result<Placement> {
    let device = torch::device::parse(&context.device)?;
    Ok(Placement::new(device, settings.precision.on(device))?)
}

/// What this machine lacks for the precision that the settings name.
fn lack(settings: &Settings, context: &Context) -> Result<Option<SlowPrecision>, DeviceError> {
    Ok(settings.precision.check(torch::device::parse(&context.device)?).err())
}

/// A backbone with its file.
enum Backbone<'a> {
    Ours(Weights),
    Onnx(Foreign<'a>),
}

impl<'a> Backbone<'a> {
    fn find(chosen: Chosen<'a>, context: &Context) -> anyhow::Result<Backbone<'a>> {
        Ok(match chosen {
            Chosen::Ours(backbone, origin) => Backbone::Ours(Weights::find(backbone, origin, context)?),
            Chosen::Onnx(network) => Backbone::Onnx(Foreign::find(network, context)?),
        })
    }
}

/// One set of features to be made.
struct Set<'a> {
    spec: FeatureSpec,
    backbone: &'a Backbone<'a>,
    /// Where the network computes, and with which numbers.
    placement: Placement,
    engine: Engine,
    /// Images in one pass of the network.
    at_once: usize,
    /// What decides the features of an image, whatever the other images are.
    recipe: Recipe,
    settings: &'a Settings,
    context: &'a Context,
}

impl<'a> Set<'a> {
    fn new(
        backbone: &'a Backbone<'a>,
        view: View,
        settings: &'a Settings,
        context: &'a Context,
    ) -> anyhow::Result<Set<'a>> {
        let (spec, placement, engine, at_once) = match backbone {
            Backbone::Ours(weights) => {
                let placement = placement(settings, context)?;
                let engine = settings.engine.on(placement);
                (weights.spec(view)?, placement, engine, engine.at_once(placement.device().is_cuda()))
            }
            // Only ONNX Runtime reads them, and it computes as the file says.
            Backbone::Onnx(foreign) => {
                let Made { spec, at_once } = foreign.makes(view, context)?;
                let (placement, engine) = (Placement::from(torch::device::parse("cpu")?), Engine::Onnx);
                (spec, placement, engine, at_once.unwrap_or(engine.at_once(false)))
            }
        };
        let mut decisive = json!({
            "backbone": spec.backbone,
            "view": view,
            "transform": spec.transform,
            "precision": placement.precision(),
            "dtype": settings.dtype,
        });
        // libtorch once made all sets, which are what they were.
        if engine != Engine::Torch {
            decisive["engine"] = json!(engine);
        }
        if let Some(output) = &spec.onnx {
            decisive["onnx"] = json!(output);
            decisive["grid"] = json!(spec.grid);
        }
        let recipe = Recipe::new(Preprocess::NAME, SCHEMA_VERSION, &decisive)?;
        let recipe = match backbone {
            Backbone::Ours(weights) => weights.named_in(recipe),
            Backbone::Onnx(foreign) => foreign.named_in(recipe),
        };
        Ok(Set { spec, backbone, placement, engine, at_once, recipe, settings, context })
    }

    /// Makes what is missing; nothing comes of it when other shards are not done yet.
    fn make(&self, shard: Shard) -> anyhow::Result<Option<Outcome>> {
        let context = self.context;
        let images = Images::open(&context.folder.dataset())?;
        let (folder, recipe) = self.wanted(&images);
        if let Some(set) = self.shared(&recipe)? {
            return set.make(&images, |part| shard.has(part), true);
        }
        if shard.count == 1 {
            let make = |work| self.extract(&images, shard, work)?.context("some parts are missing");
            return context.guard(Preprocess::NAME, folder, recipe, Making::InPlace(None), make).map(Some);
        }
        let make = |work| self.extract(&images, shard, work);
        context.guard_shard(Preprocess::NAME, folder, recipe, shard.index, make)
    }

    /// The folder of the set, and the recipe of all of it.
    fn wanted(&self, images: &Images) -> (PathBuf, Recipe) {
        let input = format!("dataset/{}", artifacts::images::FOLDER);
        let mut recipe = self.recipe.clone().input(input, images.parts.hash());
        recipe.settings["part_images"] = json!(self.settings.part_images);
        (self.context.folder.features(&self.spec.name()), recipe)
    }

    /// The set where many machines share it, if they do.
    fn shared(&self, recipe: &Recipe) -> anyhow::Result<Option<SharedSet<'_>>> {
        Ok(match shared::features(self.context, &self.spec.name())? {
            FeaturePlace::Local(_) => None,
            FeaturePlace::Shared(folder) => Some(SharedSet::new(self, folder, recipe.clone())),
        })
    }

    /// The parts of the set, as `folder` should hold them.
    fn parts<'i>(&'i self, images: &'i Images, folder: PathBuf) -> Result<Parts<'i>, TableError> {
        Parts::new(&images.parts, self.settings.part_images, &self.recipe, folder)
    }

    fn extract(&self, images: &Images, shard: Shard, work: Work) -> anyhow::Result<Option<Manifest>> {
        let parts = self.parts(images, work.path(""))?;
        self.complete(&parts, images, |part| shard.has(part), &work)?;
        let Some(skipped) = parts.skipped() else {
            self.context.note("  this shard's parts are complete, those of others are not yet");
            return Ok(None);
        };
        self.finish(work, &parts, images.parts.len(), skipped).map(Some)
    }

    /// Makes what is missing of the parts that `own` tells by their numbers.
    fn complete(
        &self,
        parts: &Parts,
        images: &Images,
        own: impl Fn(usize) -> bool,
        work: &Work,
    ) -> anyhow::Result<()> {
        let missing = parts.missing(&own, self.context.force);
        let all = (0..parts.len()).filter(|&part| own(part)).count();
        if missing.len() < all && all > 1 {
            let complete = all - missing.len();
            self.context.note(&format!("  {complete} of {all} parts are complete already"));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let old = if self.context.force { Old::default() } else { parts.old(&self.spec, &missing)? };
        let writer = Writer::new(&self.spec, self.settings.dtype, parts, missing, &old)?;
        if writer.kept() > 0 {
            self.context.note(&format!("  {} images are the same as in older parts", writer.kept()));
        }
        work.needs(writer.wanted() as u64 * self.spec.least_bytes())?;
        self.compute(&images.root, writer)
    }

    /// Computes and writes all that `writer` wants.
    fn compute(&self, root: &str, writer: Writer) -> anyhow::Result<()> {
        let Set { spec, backbone, placement, engine, .. } = self;
        let on_gpu = placement.device().is_cuda();
        let source = ImageSource::open(root)?;
        let threads = Threads::new(self.settings.workers, on_gpu, source.folder().is_remote());
        let decoder = Decoder { transform: transform(spec)?, at_once: self.at_once, source };
        let load = || match backbone {
            Backbone::Ours(weights) => {
                Ok(Network::new(*engine, weights.backbone, &weights.read()?, spec, *placement)?)
            }
            Backbone::Onnx(foreign) => Ok(Network::foreign(&foreign.file, spec)),
        };
        let label = format!("{} by {engine}", spec.name());
        let progress = Progress::new(&label, "images", writer.wanted(), self.context.quiet);
        let waits = pipeline::run(&decoder, load, threads, writer, &progress)?;
        drop(progress);
        waits.lines().iter().for_each(|line| self.context.note(&format!("  {line}")));
        Ok(())
    }

    /// What the manifest says at a glance.
    fn summary(&self, images: usize, skipped: usize) -> Map<String, Value> {
        let mut summary = Map::from_iter([
            ("images".to_owned(), json!(images - skipped)),
            ("skipped".to_owned(), json!(skipped)),
            ("grid".to_owned(), json!(self.spec.grid)),
            ("channels".to_owned(), json!(self.spec.channels)),
            ("engine".to_owned(), json!(self.engine)),
        ]);
        if let Backbone::Onnx(foreign) = self.backbone {
            summary.extend([foreign.file.recorded()]);
        }
        summary
    }

    fn finish(
        &self,
        mut work: Work,
        parts: &Parts,
        images: usize,
        skipped: Vec<Warning>,
    ) -> anyhow::Result<Manifest> {
        check_skipped(&skipped, images, self.settings.max_bad_fraction)?;
        let summary = self.summary(images, skipped.len());
        if let Some(lack) = lack(self.settings, self.context)? {
            work.warn("preprocess.precision", lack.said());
        }
        for warning in skipped {
            work.warn(warning.subject, warning.reason);
        }
        Ok(work.finish(&parts.files(), summary)?)
    }
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
