//! Decoders side by side over one or more runs: `evaluate compare`.
//!
//! Runs of one name stand for seeds. A decoder's scores are means over its runs; intervals and p-values come from the
//! choice of images, the spread from the seeds.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use artifacts::manifest::{ManifestError, read_promised};
use artifacts::{Manifest, ModelId, RunFolder, Split};
use metrics::bootstrap::{Bootstrap, Comparison};
use metrics::{Evaluation, Metric, Scores};
use serde::{Deserialize, Serialize};

use crate::comparison::TEST;
use crate::rescored::Rescored;
use crate::score_file::ScoreFile;
use crate::text::{is_headline, p_text, shown};

/// The metrics whose gains have columns of their own.
const GAINS: [Metric; 3] = [Metric::Bleu4, Metric::Meteor, Metric::CiderD];

/// Decoders with their scores, and what each gains over the baseline.
#[derive(Serialize)]
pub struct Ablation {
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
    /// Reads the evaluations of `split` in the run folders; the others are compared with the decoder `baseline`.
    ///
    /// # Errors
    /// When an evaluation cannot be read, there is none, or they are not all of the same images and references.
    pub fn read(
        runs: &[PathBuf],
        split: Split,
        baseline: &str,
        bootstrap: Bootstrap,
    ) -> anyhow::Result<Ablation> {
        let mut systems: BTreeMap<ModelId, System> = BTreeMap::new();
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
        let baseline = systems.keys().find(|model| model.decoders == [baseline]).cloned();
        let mut decoders = Vec::new();
        for (model, system) in &systems {
            let without = baseline.as_ref().filter(|name| *name != model).and_then(|name| systems.get(name));
            let gain = without.map(|without| bootstrap.compare(&system.evaluations, &without.evaluations));
            decoders.push(Row::new(model, system, gain.transpose()?, bootstrap)?);
        }
        let baseline = baseline.map(|model| model.to_string());
        Ok(Ablation { split, images: images.len(), baseline, test: TEST, bootstrap, decoders })
    }

    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let metrics = shown(self.decoders.iter().map(|row| &row.scores));
        let scores = metrics.iter().copied().filter(|metric| is_headline(*metric));
        let gains = metrics.iter().copied().filter(|metric| GAINS.contains(metric));
        let mut columns = vec!["decoder".to_owned(), "runs".to_owned()];
        columns.extend(scores.clone().map(|metric| metric.to_string()));
        columns.extend(gains.clone().map(|metric| format!("{metric} gain")));
        columns.extend(["parameters", "s/epoch"].map(str::to_owned));
        let mut lines = vec![format!("| {} |", columns.join(" | ")), "|---".repeat(columns.len()) + "|"];
        for row in &self.decoders {
            let mut cells = vec![row.model.clone(), row.runs.len().to_string()];
            cells.extend(scores.clone().map(|metric| row.score(metric)));
            cells.extend(gains.clone().map(|metric| row.gain_text(metric)));
            cells.push(row.parameters.map_or(String::new(), |count| format!("{:.2} M", count as f64 / 1e6)));
            cells.push(row.seconds_per_epoch.map_or(String::new(), |seconds| format!("{seconds:.1}")));
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

impl Row {
    fn new(
        model: &ModelId,
        system: &System,
        gain: Option<Comparison>,
        bootstrap: Bootstrap,
    ) -> anyhow::Result<Row> {
        let epochs = system.seconds.len() as f64;
        let intervals = bootstrap.intervals(&system.evaluations)?;
        let values = |metric| system.evaluations.iter().map(move |run| run.corpus[metric]);
        let mean = |metric| values(metric).sum::<f64>() / system.evaluations.len() as f64;
        let spread = |metric| {
            [values(metric).fold(f64::INFINITY, f64::min), values(metric).fold(f64::NEG_INFINITY, f64::max)]
        };
        Ok(Row {
            model: model.to_string(),
            runs: system.runs.clone(),
            scores: intervals.metrics().map(|metric| (metric, mean(metric))).collect(),
            spread: intervals.metrics().map(|metric| (metric, spread(metric))).collect(),
            intervals,
            parameters: system.parameters,
            seconds_per_epoch: (epochs > 0.0).then(|| system.seconds.iter().sum::<f64>() / epochs),
            gain,
        })
    }

    /// `0.3671 (0.350–0.384)`, with the spread over seeds when there are several.
    fn score(&self, metric: Metric) -> String {
        let Some(score) = self.scores.get(metric) else { return String::new() };
        let ([low, high], [least, most]) = (self.intervals[metric], self.spread[metric]);
        let seeds =
            if self.runs.len() > 1 { format!("; seeds {least:.4}–{most:.4}") } else { String::new() };
        format!("{score:.4} ({low:.3}–{high:.3}){seeds}")
    }

    fn gain_text(&self, metric: Metric) -> String {
        let gain = self.gain.as_ref();
        let of = |gain: &Comparison| Some((gain.difference.get(metric)?, gain.p_value.get(metric)?));
        gain.and_then(of).map_or(String::new(), |(gain, p)| format!("{gain:+.4} (p {})", p_text(p)))
    }
}

/// The finished evaluations of decoders in a run.
fn evaluated(run: &Path, split: Split) -> anyhow::Result<BTreeMap<ModelId, PathBuf>> {
    let folder = RunFolder::new(run);
    let mut found = BTreeMap::new();
    let entries = std::fs::read_dir(run.join("evaluate"))
        .with_context(|| format!("{} has no evaluations: run `evaluate`", run.display()))?;
    for entry in entries {
        let evaluation = folder.evaluate(entry?.file_name().to_string_lossy(), split);
        let manifest = match Manifest::read(&evaluation) {
            Err(ManifestError::Missing(_)) => continue,
            manifest => manifest?,
        };
        if let Some(model) = manifest.model.clone().filter(|_| ScoreFile::is_in(&manifest)) {
            found.insert(model, evaluation);
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
    if !path.exists() {
        return Ok(vec![]);
    }
    let text = read_promised(&path)?;
    let lines = text.lines().map(|line| Ok(serde_json::from_str::<Line>(&line?)?));
    let lines = lines.collect::<anyhow::Result<Vec<_>>>();
    let lines = lines.with_context(|| path.display().to_string())?;
    Ok(lines.into_iter().filter_map(|line| line.seconds).collect())
}
