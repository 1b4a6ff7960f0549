//! Decoders side by side over one or more runs: `evaluate compare`.
//!
//! Runs of one name stand for seeds. A decoder's scores are means over its runs; intervals and p-values come from the
//! choice of images, the spread from the seeds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::{Manifest, RunFolder, Split, manifest};
use metrics::bootstrap::{Bootstrap, Comparison};
use metrics::{Evaluation, Scores};
use serde::{Deserialize, Serialize};

use crate::compare::{Rescored, TEST};
use crate::score::ScoreFile;
use crate::table::{cell, p_text};
use crate::{blind, has_scores, human};

/// The table of an ablation.
#[derive(Serialize)]
pub(crate) struct Ablation {
    split: Split,
    images: usize,
    baseline: Option<String>,
    test: &'static str,
    bootstrap: Bootstrap,
    decoders: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    model: String,
    runs: Vec<String>,
    /// Means over the runs.
    scores: Scores,
    /// 95 % intervals over images.
    intervals: Scores<[f64; 2]>,
    /// Lowest and highest score of a run.
    spread: Scores<[f64; 2]>,
    /// `None` for captions that no network wrote.
    parameters: Option<u64>,
    seconds_per_epoch: Option<f64>,
    /// Against the baseline.
    gain: Option<Comparison>,
}

/// The evaluations of one decoder.
#[derive(Default)]
struct System {
    runs: Vec<String>,
    evaluations: Vec<Evaluation>,
    parameters: Option<u64>,
    seconds: Vec<f64>,
}

impl Ablation {
    /// Reads the evaluations of `split` in the run folders; decoders whose name ends with `-{baseline}` are what the
    /// others are compared with.
    pub(crate) fn read(
        runs: &[PathBuf],
        split: Split,
        baseline: &str,
        bootstrap: Bootstrap,
    ) -> anyhow::Result<Ablation> {
        let mut systems: BTreeMap<String, System> = BTreeMap::new();
        let mut images: Option<Vec<(String, Vec<String>)>> = None;
        for run in runs {
            for (model, folder) in evaluated(run, split)? {
                let rescored = Rescored::read(&folder)?;
                let same = images.get_or_insert_with(|| rescored.images.clone()) == &rescored.images;
                anyhow::ensure!(
                    same,
                    "{} was evaluated on other images or references than the rest: compare runs of one dataset and split",
                    folder.display()
                );
                let system = systems.entry(model.clone()).or_default();
                system.runs.push(run.display().to_string());
                system.evaluations.push(rescored.evaluation);
                let details = ScoreFile::read(&folder)?.details;
                system.parameters = details.get("parameters").and_then(serde_json::Value::as_u64);
                system.seconds.extend(seconds_per_epoch(&RunFolder::new(run).train(&model))?);
            }
        }
        let images = images.context("none of these runs has an evaluation of this split: run `evaluate`")?;
        let baseline = systems.keys().find(|model| model.ends_with(&format!("-{baseline}"))).cloned();
        let mut decoders = Vec::new();
        for (model, system) in &systems {
            let without = baseline.as_ref().filter(|name| *name != model).and_then(|name| systems.get(name));
            let gain = without.map(|without| bootstrap.compare(&system.evaluations, &without.evaluations));
            decoders.push(row(model, system, gain.transpose()?, bootstrap)?);
        }
        Ok(Ablation { split, images: images.len(), baseline, test: TEST, bootstrap, decoders })
    }

    /// The table in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut lines = vec![
            "| decoder | runs | BLEU-4 | ROUGE-L | CIDEr-D | BLEU-4 gain | CIDEr-D gain | parameters | s/epoch |".to_owned(),
            "|---|---|---|---|---|---|---|---|---|".to_owned(),
        ];
        for row in &self.decoders {
            let gain = |metric: usize| {
                row.gain.as_ref().map_or(String::new(), |gain| {
                    let p = p_text(gain.p_value.values()[metric]);
                    format!("{:+.4} (p {p})", gain.difference.values()[metric])
                })
            };
            let spread = |metric: usize| {
                let [low, high] = row.spread.values()[metric];
                if row.runs.len() > 1 { format!("; seeds {low:.4}–{high:.4}") } else { String::new() }
            };
            let score = |metric| cell(&row.scores, &row.intervals, metric) + &spread(metric);
            let cells = [
                row.model.clone(),
                row.runs.len().to_string(),
                score(3),
                score(4),
                score(5),
                gain(3),
                gain(5),
                row.parameters.map_or(String::new(), |count| format!("{:.2} M", count as f64 / 1e6)),
                row.seconds_per_epoch.map_or(String::new(), |seconds| format!("{seconds:.1}")),
            ];
            lines.push(format!("| {} |", cells.join(" | ")));
        }
        lines.push(String::new());
        lines.push(format!(
            "{} images of {}; in brackets 95 % intervals; p: {}, {} draws; gains over {}.",
            self.images,
            self.split,
            self.test,
            self.bootstrap.resamples,
            self.baseline.as_deref().unwrap_or("no baseline (none was evaluated)")
        ));
        lines.join("\n") + "\n"
    }
}

fn row(model: &str, system: &System, gain: Option<Comparison>, bootstrap: Bootstrap) -> anyhow::Result<Row> {
    let values: Vec<[f64; 6]> = system.evaluations.iter().map(|run| run.corpus.values()).collect();
    let of = |metric: usize| values.iter().map(move |run| run[metric]);
    let epochs = system.seconds.len() as f64;
    Ok(Row {
        model: model.to_owned(),
        runs: system.runs.clone(),
        scores: Scores::from_fn(|metric| of(metric).sum::<f64>() / values.len() as f64),
        intervals: bootstrap.intervals(&system.evaluations)?,
        spread: Scores::from_fn(|metric| {
            [of(metric).fold(f64::INFINITY, f64::min), of(metric).fold(f64::NEG_INFINITY, f64::max)]
        }),
        parameters: system.parameters,
        seconds_per_epoch: (epochs > 0.0).then(|| system.seconds.iter().sum::<f64>() / epochs),
        gain,
    })
}

/// The finished evaluations of decoders in a run, by name.
fn evaluated(run: &Path, split: Split) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let folder = RunFolder::new(run);
    let all = run.join("evaluate");
    let mut found = BTreeMap::new();
    let entries = std::fs::read_dir(&all)
        .with_context(|| format!("{} has no evaluations: run `evaluate`", run.display()))?;
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let evaluation = folder.evaluate(&name, split);
        let decoder = ![blind::NAME, human::NAME].contains(&name.as_str());
        let finished = evaluation.join(manifest::FILE).is_file();
        if decoder && finished && has_scores(&Manifest::read(&evaluation)?) {
            found.insert(name, evaluation);
        }
    }
    Ok(found)
}

/// How long each epoch of a training took, from its log; empty for one that keeps none.
fn seconds_per_epoch(train: &Path) -> anyhow::Result<Vec<f64>> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(rename = "train/epoch_seconds")]
        seconds: Option<f64>,
    }
    let path = train.join("metrics.jsonl");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        text => text.with_context(|| path.display().to_string())?,
    };
    let lines = text.lines().map(serde_json::from_str::<Line>).collect::<Result<Vec<_>, _>>();
    let lines = lines.with_context(|| path.display().to_string())?;
    Ok(lines.into_iter().filter_map(|line| line.seconds).collect())
}
