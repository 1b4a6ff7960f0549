//! The files of an evaluation: captions, their scores, and both image by image.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use anyhow::Context;
use artifacts::per_image::{self, PerImage, PerImageRow};
use artifacts::results::{self, CaptionResult};
use artifacts::{ModelId, Split, atomic};
use metrics::tokenize::caption_tokens;
use metrics::{Evaluation, Scores, Tokens};
use scoring::{Grounding, Measure, Protocol, ScoreFile};
use serde_json::{Value, json};
use stage::guard::Work;

use crate::captioned::Captioned;
use crate::references::References;

/// The files that [`write`] writes.
pub(crate) const FILES: [&str; 3] = [results::FILE, scoring::FILE, per_image::FILE];

/// What is to be scored and written.
pub(crate) struct Captions<'a> {
    /// The name of the system.
    pub(crate) model: &'a str,
    /// The decoders, unless no network wrote the captions.
    pub(crate) id: Option<&'a ModelId>,
    pub(crate) split: Split,
    pub(crate) references: &'a References,
    /// In the order of the references.
    pub(crate) captions: &'a [Captioned],
    pub(crate) grounding: Option<Grounding>,
    pub(crate) details: Value,
}

/// Scores the captions and writes [`FILES`]; returns the scores, of each image too.
pub(crate) fn write(
    work: &mut Work,
    given: Captions<'_>,
    measure: &Measure<'_>,
) -> anyhow::Result<(ScoreFile, Vec<Scores>)> {
    let tokens = given.references.tokens();
    let hypotheses: Vec<Tokens> =
        given.captions.iter().map(|captioned| caption_tokens(&captioned.best.caption)).collect();
    for (captioned, words) in given.captions.iter().zip(&hypotheses) {
        if words.is_empty() {
            work.warn(&captioned.image_id, "has no caption (were its features skipped?) and scores 0");
        }
    }
    let (sheet, evaluation) = measure.sheet(&tokens, &hypotheses)?;
    let result = |captioned: &Captioned| CaptionResult {
        image_id: captioned.image_id.clone(),
        caption: captioned.best.caption.clone(),
    };
    let results: Vec<CaptionResult> = given.captions.iter().map(result).collect();
    atomic::write_json(&work.path(results::FILE), &results).context("cannot write the captions")?;
    per_image(&given, hypotheses, &evaluation).write(&work.path(per_image::FILE), work.recipe())?;
    let file = ScoreFile {
        model: given.model.to_owned(),
        id: given.id.cloned(),
        protocol: Protocol::new(Some(given.split), &tokens, sheet.scores.metrics()),
        sheet,
        unfinished: given.captions.iter().filter(|captioned| !captioned.best.finished).count(),
        grounding: given.grounding,
        details: given.details,
        inputs: json!(work.recipe().inputs),
    };
    atomic::write_json(&work.path(scoring::FILE), &file).context("cannot write the scores")?;
    Ok((file, evaluation.images))
}

/// The captions of an evaluation that is finished, in the order of its references.
pub(crate) fn captions(folder: &Path) -> anyhow::Result<Vec<CaptionResult>> {
    let path = folder.join(results::FILE);
    let read = || anyhow::Ok(serde_json::from_slice(&std::fs::read(&path)?)?);
    read().with_context(|| path.display().to_string())
}

fn per_image(given: &Captions<'_>, hypotheses: Vec<Tokens>, evaluation: &Evaluation) -> PerImage {
    let images = given.captions.iter().zip(&given.references.0).zip(hypotheses);
    let rows = images.map(|((captioned, reference), words)| PerImageRow {
        image_id: captioned.image_id.clone(),
        caption: captioned.best.caption.clone(),
        words,
        log_probability: captioned.best.log_probability,
        finished: captioned.best.finished,
        references: reference.captions.clone(),
        reference_words: reference.tokens.clone(),
    });
    let mut scores: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (metric, score) in evaluation.images.iter().flat_map(Scores::iter) {
        scores.entry(metric.key().to_owned()).or_default().push(score);
    }
    let counted = evaluation.counted().into_iter();
    let statistics = counted.map(|(metric, images)| (metric.key().to_owned(), images)).collect();
    PerImage { rows: rows.collect(), scores, statistics }
}

/// The captions of the train split, as a set to look captions up in.
pub(crate) fn known_captions(train: &References) -> HashSet<Tokens> {
    train.0.iter().flat_map(|image| image.tokens.iter().cloned()).collect()
}
