//! METEOR through its own program equals METEOR through pycocoevalcap. Needs Java, and the jar that `METEOR_JAR`
//! names (`meteor/meteor-1.5.jar` in the PyPI package `pycocoevalcap`).

#![allow(clippy::unwrap_used, reason = "test utilities")]

use std::path::{Path, PathBuf};

use metrics::Tokens;
use metrics::bootstrap::{Bootstrap, interval};
use metrics::meteor::{Meteor, MeteorError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Captions {
    references: Vec<Vec<String>>,
    hypotheses: Vec<String>,
}

#[derive(Deserialize)]
struct Expected {
    corpus: f64,
    images: Vec<f64>,
}

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn java() -> bool {
    needs::program("java", &["-version"])
}

fn jar() -> Option<PathBuf> {
    let jar = std::env::var_os("METEOR_JAR").map(PathBuf::from);
    needs::tool("METEOR's jar, named by METEOR_JAR", jar).filter(|_| java())
}

fn words(caption: &str) -> Tokens {
    caption.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn meteor_scores_as_through_pycocoevalcap() {
    let Some(jar) = jar() else { return };
    let (captions, expected): (Captions, Expected) = (fixture("expected.json"), fixture("meteor.json"));
    let references: Vec<Vec<Tokens>> =
        captions.references.iter().map(|image| image.iter().map(|text| words(text)).collect()).collect();
    let hypotheses: Vec<Tokens> = captions.hypotheses.iter().map(|text| words(text)).collect();
    let mut meteor = Meteor::start(&jar).unwrap();
    let scores = meteor.score(&references, &hypotheses).unwrap();
    assert!((scores.corpus - expected.corpus).abs() < 1e-9);
    assert_eq!(scores.images.len(), expected.images.len());
    for (ours, theirs) in scores.images.iter().zip(&expected.images) {
        assert!((ours - theirs).abs() < 1e-9);
    }

    // A draw scored from the sum of its statistics, against the same images scored as a corpus.
    let draws = Bootstrap { resamples: 40, seed: 3 };
    let resampled = meteor.resampled(&scores, &draws).unwrap();
    assert_eq!(resampled.len(), 40);
    let sample = draws.samples(hypotheses.len()).nth(7).unwrap();
    let drawn: (Vec<_>, Vec<_>) =
        sample.iter().map(|&image| (references[image].clone(), hypotheses[image].clone())).unzip();
    let direct = meteor.score(&drawn.0, &drawn.1).unwrap().corpus;
    assert!((resampled[7] - direct).abs() < 1e-9, "{} is not {direct}", resampled[7]);
    let [low, high] = interval(resampled.into_iter());
    assert!(low < scores.corpus && scores.corpus < high);
}

#[test]
fn empty_captions_and_the_separator_do_not_shift_scores() {
    let Some(jar) = jar() else { return };
    let references = vec![vec![words("a dog runs")]; 3];
    let hypotheses = [words(""), words("a ||| dog runs"), words("a dog runs")];
    let images = Meteor::start(&jar).unwrap().score(&references, &hypotheses).unwrap().images;
    assert_eq!(images[0], 0.0);
    assert!(images[1] > 0.5 && images[1] == images[2]);
}

#[test]
fn a_missing_or_foreign_jar_is_named() {
    let missing = Meteor::start(Path::new("no-such.jar")).err().unwrap();
    assert!(matches!(missing, MeteorError::NoJar(_)) && missing.to_string().contains("no-such.jar"));
    if !java() {
        return;
    }
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let caption = || vec!["a".to_owned()];
    let error =
        Meteor::start(&foreign).unwrap().score(&[vec![caption()]], &[caption()]).unwrap_err().to_string();
    assert!(error.contains("Cargo.toml does not answer as METEOR 1.5 does"), "{error}");
}
