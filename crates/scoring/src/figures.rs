//! The figures of a run as documents print them, with what they were made by: a table that nobody copies by hand, and that a
//! change of the code makes visibly old.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use artifacts::{Manifest, ModelId, Split, atomic, show};
use metrics::{Metric, Scores};
use serde::{Deserialize, Serialize};

use crate::score_file::{BLIND, HUMAN, ScoreFile};
use crate::text::shown;

/// Scores of a run's systems on one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The run: its folder's name.
    pub run: String,
    /// The split that was captioned.
    pub split: Split,
    /// How many images it has.
    pub images: usize,
    /// Hypotheses of the search.
    pub beam_size: u64,
    /// Where they were made.
    pub processor: String,
    /// The schema version of each stage that made them.
    pub stages: BTreeMap<String, u32>,
    /// The systems, worst CIDEr-D first.
    pub systems: Vec<System>,
}

/// One system's scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// As its row is called.
    pub name: String,
    /// Its scores.
    pub scores: Scores,
}

impl Figures {
    /// Reads the evaluations of a run's split: the blind caption, and every model.
    ///
    /// # Errors
    ///
    /// When nothing was evaluated, or an artifact cannot be read.
    pub fn read(run: &Path, split: Split) -> anyhow::Result<Figures> {
        let mut stages = BTreeMap::new();
        let mut files: Vec<ScoreFile> = vec![];
        for folder in show::artifact_folders(run)? {
            let manifest = Manifest::read(&folder)?;
            stages.insert(manifest.recipe.stage.clone(), manifest.recipe.schema_version);
            if folder.ends_with(split.to_string()) && ScoreFile::is_in(&manifest) {
                files.push(ScoreFile::read(&folder)?);
            }
        }
        files.retain(|file| file.model != HUMAN);
        files.sort_by(|a, b| {
            let score = |file: &ScoreFile| file.sheet.scores.get(Metric::CiderD).unwrap_or_default();
            score(a).total_cmp(&score(b))
        });
        let best =
            files.last().with_context(|| format!("{}: nothing is evaluated on {split}", run.display()))?;
        let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Figures {
            run: name,
            split,
            images: best.protocol.images,
            beam_size: best.details["search"]["beam_size"].as_u64().unwrap_or(1),
            processor: processor(),
            stages,
            systems: files
                .iter()
                .map(|file| System { name: row_name(file), scores: file.sheet.scores })
                .collect(),
        })
    }

    /// Reads recorded figures.
    ///
    /// # Errors
    ///
    /// When there are none at `path`.
    pub fn recorded(path: &Path) -> anyhow::Result<Figures> {
        let text = std::fs::read(path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// Records them.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn record(&self, path: &Path) -> anyhow::Result<()> {
        atomic::write_json(path, self).with_context(|| path.display().to_string())
    }

    /// The table in Markdown, and a line that says where it comes from.
    pub fn markdown(&self) -> String {
        let metrics = shown(self.systems.iter().map(|system| &system.scores));
        let wanted = |metric: &&Metric| ![Metric::Bleu2, Metric::Bleu3].contains(*metric);
        let metrics: Vec<Metric> = metrics.iter().filter(wanted).copied().collect();
        let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let mut header = vec![format!("{} {} images, beam {}", self.images, self.split, self.beam_size)];
        header.extend(metrics.iter().map(ToString::to_string));
        let mut lines = vec![row(header), "|---".repeat(metrics.len() + 1) + "|"];
        for System { name, scores } in &self.systems {
            let score =
                |metric: &Metric| scores.get(*metric).map_or(String::new(), |value| format!("{value:.3}"));
            lines.push(row([name.clone()].into_iter().chain(metrics.iter().map(score)).collect()));
        }
        let stages: Vec<String> =
            self.stages.iter().map(|(stage, version)| format!("`{stage}` {version}")).collect();
        let made =
            format!("Measured on {}, by these schema versions: {}.", self.processor, stages.join(", "));
        format!("{}\n\n{made}\n", lines.join("\n"))
    }

    /// A document with the table between the comments `<!-- figures of RUN -->` and `<!-- end of figures -->`.
    ///
    /// # Errors
    ///
    /// When the document has no such place.
    pub fn into_document(&self, document: &str) -> anyhow::Result<String> {
        let (start, end) = (format!("<!-- figures of {} -->\n", self.run), "<!-- end of figures -->");
        let place =
            document.split_once(&start).and_then(|(before, rest)| Some((before, rest.split_once(end)?)));
        let (before, (_, after)) =
            place.with_context(|| format!("no {} and {end} after it", start.trim()))?;
        Ok(format!("{before}{start}{}{end}{after}", self.markdown()))
    }
}

fn row_name(file: &ScoreFile) -> String {
    match &file.id {
        None if file.model == BLIND => "blind (the best caption for all)".to_owned(),
        None => file.model.clone(),
        Some(ModelId { decoders, .. }) => format!("`{}`", decoders.join("+")),
    }
}

/// The kind of processor, as the system calls it, and whether it multiplies bf16.
fn processor() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let flags = field("flags").unwrap_or_default();
    let widest = ["amx_bf16", "avx512_bf16", "avx512f", "avx2"];
    match widest.iter().find(|flag| flags.split(' ').any(|known| known == **flag)) {
        Some(widest) => format!("{model} ({widest})"),
        None => model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let scores = Scores::from_iter([(Metric::Bleu2, 0.5), (Metric::Bleu4, 0.25), (Metric::CiderD, 1.5)]);
        Figures {
            run: "demo".to_owned(),
            split: Split::Val,
            images: 240,
            beam_size: 3,
            processor: "a processor".to_owned(),
            stages: BTreeMap::from([("train".to_owned(), 2)]),
            systems: vec![System { name: "`lstm`".to_owned(), scores }],
        }
    }

    #[test]
    fn the_table_stands_between_its_comments() {
        let old = "# A\n<!-- figures of demo -->\nold\n<!-- end of figures -->\nB\n";
        let new = figures().into_document(old).unwrap();
        assert_eq!(
            new,
            "# A\n<!-- figures of demo -->\n| 240 val images, beam 3 | BLEU-4 | CIDEr-D |\n|---|---|---|\n\
             | `lstm` | 0.250 | 1.500 |\n\nMeasured on a processor, by these schema versions: `train` 2.\n\
             <!-- end of figures -->\nB\n"
        );
        assert_eq!(figures().into_document(&new).unwrap(), new);
        assert!(figures().into_document("nothing").is_err());
    }
}
