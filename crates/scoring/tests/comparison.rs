//! Evaluations against each other, from their files alone.

#![allow(clippy::unwrap_used, reason = "test utilities")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifacts::Recipe;
use artifacts::per_image::{self, PerImage, PerImageRow};
use metrics::bootstrap::Bootstrap;
use metrics::tokenize::caption_tokens;
use metrics::{Metric, score};
use scoring::comparison::ComparisonFile;

const PEOPLE: [&str; 4] = ["a dog runs", "two cats sleep on a mat", "a boat on the sea", "a man with a hat"];
const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 50, seed: 1 };

/// METEOR's statistics of a caption of three words that has `matched` of its reference's three in one chunk.
fn counted(matched: f64) -> Vec<f64> {
    let mut numbers = vec![0.0; 23];
    (numbers[0], numbers[1]) = (3.0, 3.0);
    (numbers[4], numbers[5]) = (matched, matched);
    (numbers[20], numbers[21], numbers[22]) = (1.0, matched, matched);
    numbers
}

/// An evaluation of captions; with METEOR when there are statistics.
fn evaluation(folder: &Path, captions: [&str; 4], statistics: Option<f64>) -> PathBuf {
    let references: Vec<_> = PEOPLE.iter().map(|text| vec![caption_tokens(text)]).collect();
    let words = captions.map(caption_tokens);
    let rows = (0..4).map(|image| PerImageRow {
        image_id: image.to_string(),
        caption: captions[image].to_owned(),
        words: words[image].clone(),
        log_probability: -1.0,
        finished: true,
        references: vec![PEOPLE[image].to_owned()],
        reference_words: references[image].clone(),
    });
    let rows = rows.collect();
    let mut scores: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (metric, score) in score(&references, &words).unwrap().images.iter().flat_map(|image| image.iter()) {
        scores.entry(metric.key().to_owned()).or_default().push(score);
    }
    let mut all = PerImage { rows, scores, statistics: BTreeMap::new() };
    if let Some(matched) = statistics {
        all.scores.insert("meteor".to_owned(), vec![0.0; 4]);
        all.statistics.insert("meteor".to_owned(), vec![counted(matched); 4]);
    }
    std::fs::create_dir(folder).unwrap();
    all.write(&folder.join(per_image::FILE), &Recipe::new("test", 1, &0).unwrap()).unwrap();
    folder.to_owned()
}

#[test]
fn meteor_is_compared_when_both_have_it_and_needs_no_program() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bad = ["a cat", "a cat on a mat", "a boat", "a man"];
    let baseline = evaluation(&at("baseline"), bad, Some(2.0));
    let with = evaluation(&at("with"), PEOPLE, Some(3.0));
    let without = evaluation(&at("without"), PEOPLE, None);
    let others = [("with".to_owned(), with), ("without".to_owned(), without)];
    let file = ComparisonFile::new(("baseline", &baseline), &others, BOOTSTRAP).unwrap();
    let (with, without) = (&file.models["with"], &file.models["without"]);
    assert_eq!(with.difference.metrics().count(), Metric::COUNT);
    // Precision and recall 2 of 3, one chunk of two words; a caption that is perfect in one chunk is worth 1.
    let baseline = 2.0 / 3.0 * (1.0 - 0.6 * 0.5_f64.powf(0.2));
    assert!((with.difference[Metric::Meteor] - (1.0 - baseline)).abs() < 1e-12);
    assert_eq!(with.p_value[Metric::Meteor], 2.0 / 51.0);
    assert_eq!(without.difference.get(Metric::Meteor), None);
    assert_eq!(with.difference[Metric::CiderD], without.difference[Metric::CiderD]);
}

#[test]
fn evaluations_of_other_references_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let one = evaluation(&folder.path().join("one"), PEOPLE, None);
    let other = evaluation(&folder.path().join("other"), PEOPLE, None);
    let mut table = PerImage::read(&other.join(per_image::FILE)).unwrap();
    table.rows[0].references[0] = "another dog".to_owned();
    table.write(&other.join(per_image::FILE), &Recipe::new("test", 1, &0).unwrap()).unwrap();
    let refused = ComparisonFile::new(("one", &one), &[("other".to_owned(), other)], BOOTSTRAP).unwrap_err();
    assert!(refused.to_string().contains("other and one were evaluated on different images"), "{refused}");
}
