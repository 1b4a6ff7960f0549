//! Scores and the files that hold them; a score never travels without the protocol that gave it.

use anyhow::Context;
use artifacts::per_image::{self, PerImageRow};
use artifacts::results::{self, CaptionResult};
use artifacts::stage::Work;
use artifacts::{Manifest, Split, atomic, table};
use metrics::Scores;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::decode::Captioned;
use crate::references::References;

/// File name in the evaluation folder.
pub(crate) const FILE: &str = "scores.json";

/// `scores.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct ScoreFile {
    pub(crate) model: String,
    pub(crate) scores: Scores,
    pub(crate) protocol: Protocol,
    /// Captions that the search had to cut.
    pub(crate) unfinished: usize,
    /// Different captions among all.
    pub(crate) distinct_captions: usize,
    /// What else is known of the model: search settings, parameters, the blind caption.
    pub(crate) details: Value,
    /// Hashes of the files that went in.
    pub(crate) inputs: Value,
}

/// How the scores were made.
#[derive(Serialize, Deserialize)]
pub(crate) struct Protocol {
    pub(crate) split: Split,
    pub(crate) images: usize,
    pub(crate) references_per_image: [usize; 2],
    pub(crate) tokenizer: String,
    pub(crate) bleu: String,
    pub(crate) rouge_l: String,
    pub(crate) cider_d: String,
}

impl Protocol {
    fn new(split: Split, references: &References) -> Protocol {
        let counts = || references.0.iter().map(|image| image.tokens.len());
        Protocol {
            split,
            images: references.0.len(),
            references_per_image: [counts().min().unwrap_or(0), counts().max().unwrap_or(0)],
            tokenizer: "Penn Treebank rules, lower case, punctuation removed".to_owned(),
            bleu: "corpus level, closest reference length, brevity penalty".to_owned(),
            rouge_l: "beta 1.2, mean over images".to_owned(),
            cider_d: "document frequency from the references of this split, mean over images".to_owned(),
        }
    }
}

/// Scores the captions, writes every file of the evaluation, and finishes it.
pub(crate) fn write(
    mut work: Work,
    model: &str,
    split: Split,
    details: Value,
    references: &References,
    captions: Vec<Captioned>,
    pictures: Vec<String>,
) -> anyhow::Result<Manifest> {
    let tokens: Vec<Vec<Vec<String>>> = references.0.iter().map(|image| image.tokens.clone()).collect();
    let hypotheses: Vec<Vec<String>> =
        captions.iter().map(|captioned| metrics::tokenize::caption_tokens(&captioned.caption)).collect();
    let evaluation = metrics::score(&tokens, &hypotheses)?;
    let distinct: std::collections::HashSet<&str> =
        captions.iter().map(|captioned| captioned.caption.as_str()).collect();
    let file = ScoreFile {
        model: model.to_owned(),
        scores: evaluation.corpus,
        protocol: Protocol::new(split, references),
        unfinished: captions.iter().filter(|captioned| !captioned.finished).count(),
        distinct_captions: distinct.len(),
        details,
        inputs: json!(work.recipe().inputs),
    };
    for (captioned, words) in captions.iter().zip(&hypotheses) {
        if words.is_empty() {
            work.warn(&captioned.image_id, "has no caption (were its features skipped?) and scores 0");
        }
    }
    let results: Vec<CaptionResult> = captions
        .iter()
        .map(|captioned| CaptionResult {
            image_id: captioned.image_id.clone(),
            caption: captioned.caption.clone(),
        })
        .collect();
    let rows: Vec<PerImageRow> = captions
        .into_iter()
        .zip(evaluation.images)
        .zip(&references.0)
        .map(|((captioned, scores), reference)| PerImageRow {
            image_id: captioned.image_id,
            caption: captioned.caption,
            log_probability: captioned.log_probability,
            finished: captioned.finished,
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
    let mut files: Vec<String> = [results::FILE, FILE, per_image::FILE].map(str::to_owned).into();
    files.extend(pictures);
    let summary = Map::from_iter([("scores".to_owned(), json!(file.scores))]);
    Ok(work.finish(&files, summary)?)
}
