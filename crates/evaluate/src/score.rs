//! Scores and the files that hold them; a score never travels without the protocol that gave it.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use artifacts::per_image::{self, PerImageRow};
use artifacts::results::{self, CaptionResult};
use artifacts::{Split, atomic, table};
use metrics::tokenize::caption_tokens;
use metrics::{Scores, Tokens};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stage::guard::Work;

use crate::decode::Captioned;
use crate::grounding::Grounding;
use crate::references::References;
use crate::sheet::{Measure, Sheet};

/// File name in the evaluation folder.
pub(crate) const FILE: &str = "scores.json";

/// `scores.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct ScoreFile {
    pub(crate) model: String,
    #[serde(flatten)]
    pub(crate) sheet: Sheet,
    pub(crate) protocol: Protocol,
    /// Captions that the search had to cut.
    pub(crate) unfinished: usize,
    /// Where the model looked when it named objects, where their boxes are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grounding: Option<Grounding>,
    /// What else is known of the model: search settings, parameters, features; the blind caption.
    pub(crate) details: Value,
    /// Hashes of the files that went in.
    pub(crate) inputs: Value,
}

impl ScoreFile {
    /// Reads the scores in an evaluation folder.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<ScoreFile> {
        let path = folder.join(FILE);
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| format!("{}: run `evaluate` again", path.display()))
    }
}

/// How the scores were made.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Protocol {
    /// The split, for images of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<Split>,
    pub(crate) images: usize,
    pub(crate) references_per_image: [usize; 2],
    pub(crate) tokenizer: String,
    pub(crate) bleu: String,
    pub(crate) rouge_l: String,
    pub(crate) cider_d: String,
    pub(crate) intervals: String,
}

impl Protocol {
    pub(crate) fn new(split: Option<Split>, references: &[Vec<Tokens>]) -> Protocol {
        let counts = || references.iter().map(Vec::len);
        Protocol {
            split,
            images: references.len(),
            references_per_image: [counts().min().unwrap_or(0), counts().max().unwrap_or(0)],
            tokenizer: "Penn Treebank rules, lower case, punctuation removed".to_owned(),
            bleu: "corpus level, closest reference length, brevity penalty".to_owned(),
            rouge_l: "beta 1.2, mean over images".to_owned(),
            cider_d: "document frequency from these references, mean over images".to_owned(),
            intervals: "95 %, bootstrap over images".to_owned(),
        }
    }

    /// `5`, or `3–5`.
    pub(crate) fn references(&self) -> String {
        let [fewest, most] = self.references_per_image;
        if fewest == most { fewest.to_string() } else { format!("{fewest}–{most}") }
    }
}

/// What is to be scored and written.
pub(crate) struct Captions<'a> {
    pub(crate) model: &'a str,
    pub(crate) split: Split,
    pub(crate) references: &'a References,
    /// In the order of the references.
    pub(crate) captions: &'a [Captioned],
    pub(crate) grounding: Option<Grounding>,
    pub(crate) details: Value,
}

/// Scores the captions and writes `captions.json`, `scores.json` and `per_image.parquet`; returns the scores, of each
/// image too.
pub(crate) fn write(
    work: &mut Work,
    given: Captions<'_>,
    measure: &Measure<'_>,
) -> anyhow::Result<(ScoreFile, Vec<Scores>)> {
    let Captions { model, split, references, captions, grounding, details } = given;
    let tokens = references.tokens();
    let hypotheses: Vec<Tokens> =
        captions.iter().map(|captioned| caption_tokens(&captioned.best.caption)).collect();
    let (sheet, evaluation) = measure.sheet(&tokens, &hypotheses)?;
    let file = ScoreFile {
        model: model.to_owned(),
        sheet,
        protocol: Protocol::new(Some(split), &tokens),
        unfinished: captions.iter().filter(|captioned| !captioned.best.finished).count(),
        grounding,
        details,
        inputs: json!(work.recipe().inputs),
    };
    for (captioned, words) in captions.iter().zip(&hypotheses) {
        if words.is_empty() {
            work.warn(&captioned.image_id, "has no caption (were its features skipped?) and scores 0");
        }
    }
    let result = |captioned: &Captioned| CaptionResult {
        image_id: captioned.image_id.clone(),
        caption: captioned.best.caption.clone(),
    };
    let results: Vec<CaptionResult> = captions.iter().map(result).collect();
    let rows: Vec<PerImageRow> = captions
        .iter()
        .zip(&evaluation.images)
        .zip(&references.0)
        .map(|((captioned, scores), reference)| PerImageRow {
            image_id: captioned.image_id.clone(),
            caption: captioned.best.caption.clone(),
            log_probability: captioned.best.log_probability,
            finished: captioned.best.finished,
            bleu_1: scores.bleu[0],
            bleu_4: scores.bleu[3],
            rouge_l: scores.rouge_l,
            cider_d: scores.cider_d,
            references: reference.captions.clone(),
        })
        .collect();
    atomic::write_json(&work.path(results::FILE), &results).context("cannot write the captions")?;
    atomic::write_json(&work.path(FILE), &file).context("cannot write the scores")?;
    table::write(&work.path(per_image::FILE), &rows, work.recipe(), &[])?;
    Ok((file, evaluation.images))
}

/// The files that [`write`] writes.
pub(crate) const FILES: [&str; 3] = [results::FILE, FILE, per_image::FILE];

/// The captions of the train split, as a set to look captions up in.
pub(crate) fn known_captions(train: &References) -> HashSet<Tokens> {
    train.0.iter().flat_map(|image| image.tokens.iter().cloned()).collect()
}
