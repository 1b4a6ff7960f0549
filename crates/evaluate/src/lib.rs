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
mod evaluation;
mod grounding;
mod html;
mod human;
mod references;
mod score;
mod sheet;
mod table;
mod view;

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::Split;
use artifacts::preview::Preview;
use model::search::SearchSettings;
use serde::{Deserialize, Serialize};
use stage::{Context, Outcome, Sources, Stage};

use compare::ComparisonFile;
use evaluation::{Evaluation, has_scores};
use score::ScoreFile;

/// Settings of the `evaluate` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The split to caption: val while choosing, test once at the end.
    pub split: Split,
    /// How captions are searched.
    pub search: SearchSettings,
    /// Trained decoders that also write together, by the mean of their probabilities: one more line in the table.
    pub ensemble: Vec<String>,
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
            ensemble: vec![],
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

    fn check(settings: &Settings, context: &Context) -> anyhow::Result<()> {
        let search = settings.search.problem().map(|problem| problem.within("search"));
        context
            .refuse_any::<Self, _>(search.as_ref().map(|problem| (problem.key.as_str(), &problem.reason)))?;
        let different: HashSet<_> = settings.ensemble.iter().collect();
        let members = different.len() == settings.ensemble.len() && settings.ensemble.len() != 1;
        let problems = [
            (settings.resamples == 0, "resamples", "must be at least 1"),
            (!members, "ensemble", "must name at least two different decoders, or none"),
        ];
        let problem = problems.into_iter().find(|problem| problem.0).map(|(_, key, reason)| (key, reason));
        context.refuse_any::<Self, _>(problem)?;
        if let Some(jar) = settings.meteor_jar.as_ref().filter(|jar| !jar.is_file()) {
            let reason = format!("{} is not there: name the jar of METEOR 1.5", jar.display());
            return Err(context.refuse::<Self>("meteor_jar", reason).into());
        }
        model::device::parse(&context.device)?;
        Ok(())
    }

    fn foresee(settings: &Settings, context: &Context, preview: &Preview) -> anyhow::Result<()> {
        if preview.captions(settings.split).next().is_none() {
            let reason = format!("the dataset will have no captioned image in split {}", settings.split);
            return Err(context.refuse::<Self>("split", reason).into());
        }
        Ok(())
    }

    fn run(settings: &Settings, context: &Context) -> anyhow::Result<Vec<Outcome>> {
        let sets = Sources::of(&context.config)?.sets();
        let features = sets.join("+");
        let mut names = trained_models(&context.folder.path().join("train"), &features)?;
        anyhow::ensure!(
            !names.is_empty(),
            "no decoder is trained on {features} features: run the train stage"
        );
        let together = ensemble(&settings.ensemble, &names, &features)
            .map_err(|reason| context.config.bad_value("evaluate.ensemble", reason))?;
        let evaluation = Evaluation::new(settings, context);
        let mut outcomes = vec![evaluation.blind()?, evaluation.human()?];
        for name in &names {
            outcomes.push(evaluation.model(name, std::slice::from_ref(name), &sets)?);
        }
        if let Some((name, members)) = together {
            outcomes.push(evaluation.model(&name, &members, &sets)?);
            names.push(name);
        }
        let comparison = evaluation.comparison(&names, &features)?;
        if !context.quiet {
            print(&outcomes, comparison.as_ref())?;
        }
        outcomes.extend(comparison);
        Ok(outcomes)
    }
}

/// Name and members of the ensemble of the decoders named `kinds`, or why it cannot be; `None` when none is wanted.
fn ensemble(
    kinds: &[String],
    trained: &[String],
    features: &str,
) -> Result<Option<(String, Vec<String>)>, String> {
    if kinds.is_empty() {
        return Ok(None);
    }
    let members: Vec<String> = kinds.iter().map(|kind| model_name(features, kind)).collect();
    if let Some(missing) = members.iter().find(|member| !trained.contains(member)) {
        return Err(format!("{missing} is not trained; there are {}", trained.join(", ")));
    }
    Ok(Some((model_name(features, &kinds.join("+")), members)))
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

/// The name of a trained decoder: the features it reads, then how it writes.
fn model_name(features: &str, decoder: &str) -> String {
    format!("{features}-{decoder}")
}
