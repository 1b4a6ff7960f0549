//! `score`, and `evaluate score`: captions of any system.

use std::path::{Path, PathBuf};

use metrics::bootstrap::Comparison;
use metrics::{Evaluation, MeteorSource};
use serde::Serialize;
use stage::progress::note;
use stage::terminal::{print, print_json};

use super::draws::Draws;
use crate::captions::{CaptionFile, Hypotheses, ReferenceFile};
use crate::comparison;
use crate::protocol::Protocol;
use crate::sheet::{Measure, Sheet};
use crate::text;

/// What is scored, and how.
#[derive(clap::Args)]
pub struct Score {
    /// References: COCO's {"annotations": [{"image_id": …, "caption": "…"}, …]}, Karpathy's file, {"IMAGE_ID": ["…", …], …}, or a table of images and captions, such as CSV.
    #[arg(long, value_name = "FILE")]
    references: PathBuf,
    /// Captions to score, one for every image: [{"image_id": …, "caption": "…"}, …], {"IMAGE_ID": ["…"], …}, or a table.
    #[arg(long, value_name = "FILE")]
    hypotheses: PathBuf,
    /// Captions of another system, to compare with.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Scores only the images that have a hypothesis, as coco-caption does: such scores compare with none over all images.
    #[arg(long)]
    subset: bool,
    /// The jar of METEOR 1.5; needs Java.
    #[arg(long, value_name = "FILE")]
    meteor_jar: Option<PathBuf>,
    #[command(flatten)]
    draws: Draws,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
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

impl Score {
    /// Scores, and prints scores or JSON on standard output, warnings on standard error.
    ///
    /// # Errors
    /// When a file cannot be read, or images do not fit each other.
    pub fn run(self) -> anyhow::Result<()> {
        let mut references = ReferenceFile::read(&self.references)?;
        let captions = CaptionFile::read(&self.hypotheses, &references)?;
        let others = self.against.as_deref().map(|path| CaptionFile::read(path, &references)).transpose()?;
        let mut warnings = Vec::new();
        if self.subset {
            let all = references.images();
            [Some(&captions), others.as_ref()]
                .into_iter()
                .flatten()
                .for_each(|file| references.keep_named(file));
            anyhow::ensure!(references.images() > 0, "no image has a hypothesis of all systems");
            if references.images() < all {
                let left = all - references.images();
                warnings.push(format!("{left} of {all} images have no hypothesis and are not scored"));
            }
        }
        warnings.extend(references.warnings());
        let bootstrap = self.draws.bootstrap();
        let meteor = self.meteor_jar.as_deref().map_or(MeteorSource::None, MeteorSource::Program);
        let measure = Measure { bootstrap, meteor, train: None };
        let tokens = references.tokens();
        let mut measured = |path: &Path, captions: &CaptionFile| -> anyhow::Result<(Sheet, Evaluation)> {
            let file = Hypotheses::of(path, captions, &references)?;
            warnings
                .extend(file.warnings().into_iter().map(|warning| format!("{}: {warning}", path.display())));
            measure.sheet(&tokens, &file.tokens())
        };
        let (sheet, evaluation) = measured(&self.hypotheses, &captions)?;
        let against = self.against.as_deref().zip(others).map(|(path, others)| -> anyhow::Result<Against> {
            let (sheet, other) = measured(path, &others)?;
            let gain = bootstrap.compare(std::slice::from_ref(&evaluation), &[other])?;
            Ok(Against { hypotheses: path.display().to_string(), sheet, gain })
        });
        let report = Report {
            hypotheses: self.hypotheses.display().to_string(),
            protocol: Protocol::new(None, &tokens, sheet.scores.metrics()),
            sheet,
            against: against.transpose()?,
            warnings,
        };
        for warning in &report.warnings {
            note(&format!("warning: {warning}"));
        }
        if self.json { print_json(&report) } else { Ok(print(&report.text())?) }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut lines = text::protocol(&self.protocol);
        lines.push(String::new());
        let name = |path: &str| {
            Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy().into_owned())
        };
        let mut systems = vec![(name(&self.hypotheses), &self.sheet)];
        systems.extend(self.against.iter().map(|other| (name(&other.hypotheses), &other.sheet)));
        lines.extend(text::scores(&systems));
        if let Some(against) = &self.against {
            lines.push(String::new());
            lines.push(format!("{} against {}:", self.hypotheses, against.hypotheses));
            lines.push(text::gains(&against.gain));
            lines.push(format!("p: {}, {} draws", comparison::TEST, self.sheet.bootstrap.resamples));
        }
        lines.join("\n") + "\n"
    }
}
