//! A trained decoder and a split → captions, scores that say how they were made, pictures of the attention, and a report.
//!
//! Every finished decoder of the configured features is evaluated, beside the best caption that a blind model could
//! give and what people score against each other, so that the table shows what sight is worth, and what attention is.
//! The `evaluate` program also scores captions of any other system ([`scoring::command`]).

mod attention;
mod blind;
mod captioned;
mod decode;
mod evaluation;
mod grounding;
mod guest;
mod html;
mod human;
mod references;
mod results;
mod trained;
mod view;

use std::path::{Path, PathBuf};

use artifacts::preview::Preview;
use artifacts::{ModelId, Split};
use model::decoder::{ChosenDecoders, DecoderKind};
use model::search::SearchSettings;
use scoring::comparison::ComparisonFile;
use scoring::{ScoreFile, text};
use serde::{Deserialize, Serialize};
use stage::{Context, Outcome, Sources, Stage, terminal};

use evaluation::Evaluation;

/// Settings of the `evaluate` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The split to caption: val while choosing, test once at the end.
    pub split: Split,
    /// How captions are searched.
    pub search: SearchSettings,
    /// Trained decoders that also write together, by the mean of their probabilities: one more line in the table.
    #[serde(deserialize_with = "artifacts::listed::one_or_more")]
    pub ensemble: Vec<DecoderKind>,
    /// Images whose attention is drawn.
    pub attention_images: usize,
    /// Images in the gallery of the report, about 15 KB each.
    pub report_images: usize,
    /// Draws of the bootstrap behind intervals and p-values.
    pub resamples: usize,
    /// A captioner of `export` that says what it sees in the same images, for the report; left empty, none.
    pub guest: PathBuf,
    /// The jar of METEOR 1.5, which needs Java; without it METEOR is not computed.
    pub meteor_jar: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            split: Split::Val,
            search: SearchSettings::default(),
            ensemble: vec![],
            attention_images: 8,
            report_images: 1000,
            resamples: 1000,
            guest: PathBuf::new(),
            meteor_jar: None,
        }
    }
}

impl Settings {
    /// The file of the guest, if there is one.
    pub(crate) fn guest(&self) -> Option<&Path> {
        Some(self.guest.as_path()).filter(|path| !path.as_os_str().is_empty())
    }
}

/// The stage `evaluate`: decoders and features to captions, scores and a report.
pub struct Evaluate;

impl Stage for Evaluate {
    const NAME: &'static str = "evaluate";
    const ABOUT: &'static str = "Captions a split and scores the captions";
    type Settings = Settings;

    fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
        let search = settings.search.problem().map(|problem| problem.within("search"));
        context
            .refuse_any::<Self, _>(search.as_ref().map(|problem| (problem.key.as_str(), &problem.reason)))?;
        let kinds = &settings.ensemble;
        let twice = (1..kinds.len()).any(|at| kinds[..at].contains(&kinds[at]));
        let members = !twice && kinds.len() != 1;
        let problems = [
            (
                !(1..=1_000_000).contains(&settings.resamples),
                "resamples",
                "must be at least 1 and at most 1000000",
            ),
            (!members, "ensemble", "must name at least two different decoders, or none"),
        ];
        let problem = problems.into_iter().find(|problem| problem.0).map(|(_, key, reason)| (key, reason));
        context.refuse_any::<Self, _>(problem)?;
        if let Some(jar) = settings.meteor_jar.as_ref().filter(|jar| !jar.is_file()) {
            let reason = format!("{} is not there: name the jar of METEOR 1.5", jar.display());
            return Err(context.refuse::<Self>("meteor_jar", reason).into());
        }
        if let Some(path) = settings.guest() {
            guest::Guest::open(path, context)
                .map_err(|error| context.refuse::<Self>("guest", format!("{error:#}")))?;
        }
        torch::device::parse(&context.device)?;
        Ok(())
    }

    fn foresee(settings: &Settings, context: &Context, preview: &Preview) -> anyhow::Result<()> {
        if preview.captions(settings.split).next().is_none() {
            let reason = format!("the dataset will have no captioned image in split {}", settings.split);
            return Err(context.refuse::<Self>("split", reason).into());
        }
        let sets = Sources::of(&context.config)?.sets();
        let trained = trained::models(&context.folder, &sets)?;
        let to_come = context.config.part::<ChosenDecoders>("train")?.decoders;
        let known = |kind: &DecoderKind| {
            to_come.contains(kind) || trained.contains(&ModelId::new(&sets, kind.as_str()))
        };
        if let Some(missing) = settings.ensemble.iter().find(|kind| !known(kind)) {
            let reason = format!("{} is neither trained nor among train.decoders", missing.as_str());
            return Err(context.refuse::<Self>("ensemble", reason).into());
        }
        Ok(())
    }

    fn prepare_process(_settings: &Settings, _context: &Context) -> anyhow::Result<()> {
        // Captions are searched side by side, each search on one thread of libtorch.
        torch::threads::single();
        Ok(())
    }

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let sets = Sources::of(&context.config)?.sets();
        let mut models = trained::models(&context.folder, &sets)?;
        anyhow::ensure!(
            !models.is_empty(),
            "no decoder is trained on {} features: run the train stage",
            sets.join("+")
        );
        models.extend(
            ensemble(&settings.ensemble, &models, &sets)
                .map_err(|reason| context.refuse::<Self>("ensemble", reason))?,
        );
        let evaluation = Evaluation::new(settings, context);
        let mut outcomes = vec![evaluation.blind()?, evaluation.human()?];
        outcomes.extend(evaluation.guest()?);
        for model in &models {
            outcomes.push(evaluation.model(model)?);
        }
        let comparison = evaluation.comparison(&models)?;
        if !context.quiet {
            print(&outcomes, comparison.as_ref())?;
        }
        outcomes.extend(comparison);
        Ok(outcomes)
    }
}

/// The ensemble of the decoders `kinds`, or why it cannot be; `None` when none is wanted.
fn ensemble(kinds: &[DecoderKind], trained: &[ModelId], sets: &[String]) -> Result<Option<ModelId>, String> {
    if kinds.is_empty() {
        return Ok(None);
    }
    let decoders = kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    let together = ModelId { sets: sets.to_vec(), decoders };
    if let Some(missing) = together.members().find(|member| !trained.contains(member)) {
        let names: Vec<String> = trained.iter().map(ToString::to_string).collect();
        return Err(format!("{missing} is not trained; there are {}", names.join(", ")));
    }
    Ok(Some(together))
}

/// Prints the scores of all evaluated systems on stdout, protocol first.
fn print(outcomes: &[Outcome], comparison: Option<&Outcome>) -> anyhow::Result<()> {
    let scored = outcomes.iter().filter(|outcome| ScoreFile::is_in(&outcome.manifest));
    let files = scored.map(|outcome| ScoreFile::read(&outcome.folder)).collect::<Result<Vec<_>, _>>()?;
    let comparison = comparison.map(|outcome| ComparisonFile::read(&outcome.folder)).transpose()?;
    Ok(terminal::print(&text::evaluation(&files, comparison.as_ref()))?)
}
