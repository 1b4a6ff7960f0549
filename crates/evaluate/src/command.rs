//! Commands beside the stage: scores of any system's captions, and decoders side by side.

use std::io::Write;
use std::path::{Path, PathBuf};

use artifacts::Split;
use clap::Subcommand;
use metrics::Evaluation;
use metrics::bootstrap::{Bootstrap, Comparison};
use serde::Serialize;
use stage::progress::note;

use crate::ablation::Ablation;
use crate::coco::{HypothesisFile, ReferenceFile};
use crate::score::Protocol;
use crate::sheet::{Measure, Sheet};
use crate::table;

/// Commands of the `evaluate` program.
#[derive(Subcommand)]
pub enum Command {
    /// Scores captions of any system in COCO's formats; no model needed.
    Score(Score),
    /// Compares the decoders of one or more evaluated runs; runs of the same decoder count as seeds.
    Compare(Compare),
}

/// Arguments of `evaluate score`.
#[derive(clap::Args)]
pub struct Score {
    /// References: {"annotations": [{"image_id": …, "caption": "…"}, …]}.
    #[arg(long, value_name = "FILE")]
    references: PathBuf,
    /// Captions to score: [{"image_id": …, "caption": "…"}, …], one for every image.
    #[arg(long, value_name = "FILE")]
    hypotheses: PathBuf,
    /// Captions of another system, to compare with.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The jar of METEOR 1.5; needs Java.
    #[arg(long, value_name = "FILE")]
    meteor_jar: Option<PathBuf>,
    #[command(flatten)]
    draws: Draws,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `evaluate compare`.
#[derive(clap::Args)]
pub struct Compare {
    /// Run folders, such as data/runs/demo.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The split that was evaluated.
    #[arg(long, default_value = "val", value_parser = split)]
    split: Split,
    /// The decoder that the others are compared with.
    #[arg(long, default_value = "lstm")]
    baseline: String,
    #[command(flatten)]
    draws: Draws,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// How intervals and p-values are drawn.
#[derive(clap::Args)]
pub struct Draws {
    /// Draws of the bootstrap.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    resamples: u32,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = Bootstrap::default().seed)]
    seed: u64,
}

/// What `evaluate score` prints as JSON.
#[derive(Serialize)]
struct Report {
    hypotheses: String,
    #[serde(flatten)]
    sheet: Sheet,
    protocol: Protocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Against>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Against {
    hypotheses: String,
    #[serde(flatten)]
    sheet: Sheet,
    gain: Comparison,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// When a file cannot be read, or images do not fit each other.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Command::Score(command) => command.run(),
            Command::Compare(command) => command.run(),
        }
    }
}

impl Draws {
    fn bootstrap(&self) -> Bootstrap {
        Bootstrap { resamples: self.resamples as usize, seed: self.seed }
    }
}

impl Score {
    fn run(self) -> anyhow::Result<()> {
        let references = ReferenceFile::read(&self.references)?;
        let mut warnings = references.warnings();
        let bootstrap = self.draws.bootstrap();
        let measure = Measure { bootstrap, meteor_jar: self.meteor_jar.as_deref(), train: None };
        let tokens = references.tokens();
        let mut measured = |path: &Path| -> anyhow::Result<(Sheet, Evaluation)> {
            let file = HypothesisFile::read(path, &references)?;
            warnings
                .extend(file.warnings().into_iter().map(|warning| format!("{}: {warning}", path.display())));
            measure.sheet(&tokens, &file.tokens())
        };
        let (sheet, evaluation) = measured(&self.hypotheses)?;
        let against = self.against.as_deref().map(|path| -> anyhow::Result<Against> {
            let (sheet, other) = measured(path)?;
            let gain = bootstrap.compare(std::slice::from_ref(&evaluation), &[other])?;
            Ok(Against { hypotheses: path.display().to_string(), sheet, gain })
        });
        let report = Report {
            hypotheses: self.hypotheses.display().to_string(),
            sheet,
            protocol: Protocol::new(None, &tokens),
            against: against.transpose()?,
            warnings,
        };
        for warning in &report.warnings {
            note(&format!("warning: {warning}"));
        }
        print(&if self.json { serde_json::to_string_pretty(&report)? + "\n" } else { report.text() })
    }
}

impl Report {
    fn text(&self) -> String {
        let mut lines = table::protocol(&self.protocol);
        lines.push(String::new());
        let name = |path: &str| {
            Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy().into_owned())
        };
        let mut systems = vec![(name(&self.hypotheses), &self.sheet)];
        systems.extend(self.against.iter().map(|other| (name(&other.hypotheses), &other.sheet)));
        lines.extend(table::scores(&systems));
        if let Some(against) = &self.against {
            lines.push(String::new());
            lines.push(format!("{} against {}:", self.hypotheses, against.hypotheses));
            lines.push(table::gains(&against.gain));
            lines.push(format!("p: {}, {} draws", crate::compare::TEST, self.sheet.bootstrap.resamples));
        }
        lines.join("\n") + "\n"
    }
}

impl Compare {
    fn run(self) -> anyhow::Result<()> {
        let ablation = Ablation::read(&self.runs, self.split, &self.baseline, self.draws.bootstrap())?;
        print(&if self.json { serde_json::to_string_pretty(&ablation)? + "\n" } else { ablation.markdown() })
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn split(name: &str) -> Result<Split, String> {
    [Split::Train, Split::Val, Split::Test]
        .into_iter()
        .find(|split| split.as_str() == name)
        .ok_or_else(|| "train, val or test".to_owned())
}
