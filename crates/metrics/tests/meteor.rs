//! METEOR from the statistics of its program equals METEOR through pycocoevalcap, and what the program itself makes of
//! them. Needs Java, and the jar that `METEOR_JAR` names (`meteor/meteor-1.5.jar` in the PyPI package `pycocoevalcap`).

#![allow(clippy::unwrap_used, reason = "test utilities")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use metrics::bootstrap::Bootstrap;
use metrics::{Evaluation, MeteorError, MeteorSource, Metric, ScoreError, Scorer, Tokens};
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

fn score(
    source: MeteorSource<'_>,
    references: &[Vec<Tokens>],
    hypotheses: &[Tokens],
) -> Result<Evaluation, ScoreError> {
    Scorer { meteor: source, ..Scorer::default() }.score(references, hypotheses)
}

/// References and hypotheses of the fixture.
fn captions() -> (Vec<Vec<Tokens>>, Vec<Tokens>) {
    let captions: Captions = fixture("expected.json");
    let references = captions.references.iter().map(|image| image.iter().map(|text| words(text)).collect());
    (references.collect(), captions.hypotheses.iter().map(|text| words(text)).collect())
}

/// What the program says of each of some lists of statistics: the score of each, then that of all together.
fn asked(jar: &Path, lists: &[Vec<&Vec<f64>>]) -> Vec<f64> {
    let mut command = Command::new("java");
    command.arg("-jar").arg(jar).args(["-", "-", "-stdio", "-l", "en", "-norm"]);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    let line = |numbers: &&Vec<f64>| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    for list in lists {
        writeln!(input, "EVAL ||| {}", list.iter().map(line).collect::<Vec<_>>().join(" ||| ")).unwrap();
    }
    drop(input);
    let output = String::from_utf8(program.wait_with_output().unwrap().stdout).unwrap();
    output.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn meteor_scores_as_through_pycocoevalcap() {
    let Some(jar) = jar() else { return };
    let expected: Expected = fixture("meteor.json");
    let (references, hypotheses) = captions();
    let images = hypotheses.len();
    let dog = || vec![words("a dog runs")];
    // The program takes long to start, so one run counts all captions: those of the fixture, those of people against
    // their own image and against another, and what might shift scores.
    let people = |shift: usize| (0..images).map(move |image| (image + shift) % images);
    let own = people(0).map(|image| references[image][0].clone());
    let others = people(1).map(|image| references[image][0].clone());
    let hard = [words(""), words("a ||| dog runs"), words("a dog runs")];
    let all: Vec<Tokens> = hypotheses.iter().cloned().chain(own).chain(others).chain(hard).collect();
    let fixtures = || references.iter().cloned();
    let beside: Vec<Vec<Tokens>> =
        fixtures().chain(fixtures()).chain(fixtures()).chain([dog(), dog(), dog()]).collect();
    let evaluation = score(MeteorSource::Program(&jar), &beside, &all).unwrap();
    assert!(evaluation.not_computed.is_empty());
    let counted = &evaluation.counted()[&Metric::Meteor];
    let of_image = |image: usize| evaluation.images[image][Metric::Meteor];

    let [empty, separator, same] = [0, 1, 2].map(|image| of_image(3 * images + image));
    assert_eq!(empty, 0.0);
    assert!(separator > 0.5 && separator == same);
    assert_eq!(expected.images.len(), images);
    for (image, theirs) in expected.images.iter().enumerate() {
        assert!((of_image(image) - theirs).abs() < 1e-9);
    }

    // Statistics stand for the program, and METEOR for a metric like the others.
    let again = score(MeteorSource::Counted(&counted[..images]), &references, &hypotheses).unwrap();
    assert!((again.corpus[Metric::Meteor] - expected.corpus).abs() < 1e-9);
    assert!((0..images).all(|image| again.images[image][Metric::Meteor] == of_image(image)));
    let native = score(MeteorSource::None, &references, &hypotheses).unwrap();
    assert!(native.corpus.iter().all(|(metric, score)| again.corpus[metric] == score));
    assert!(native.not_computed[&Metric::Meteor].contains("jar"));
    let draws = Bootstrap { resamples: 40, seed: 3 };
    let [low, high] = draws.intervals(std::slice::from_ref(&again)).unwrap()[Metric::Meteor];
    assert!(low < expected.corpus && expected.corpus < high);

    // The formula is the program's, for single captions and for samples of them.
    let samples: Vec<Vec<usize>> = (Bootstrap { resamples: 5, seed: 3 }).samples(all.len()).collect();
    let lists: Vec<Vec<&Vec<f64>>> =
        samples.iter().map(|sample| sample.iter().map(|&image| &counted[image]).collect()).collect();
    let ours = samples.iter().flat_map(|sample| {
        let images = sample.iter().map(|&image| of_image(image));
        images.chain([evaluation.of_sample(sample)[Metric::Meteor]]).collect::<Vec<f64>>()
    });
    let (ours, theirs) = (ours.collect::<Vec<f64>>(), asked(&jar, &lists));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-9, "{ours} is not {theirs}");
    }
}

#[test]
fn statistics_of_other_captions_are_refused() {
    let references = vec![vec![words("a dog runs")]];
    let refused = |counted: &[Vec<f64>]| {
        let error = score(MeteorSource::Counted(counted), &references, &[words("a dog")]).unwrap_err();
        assert!(matches!(error, ScoreError::Meteor(MeteorError::OtherStatistics)), "{error}");
    };
    refused(&[]);
    refused(&[vec![1.0; 22]]);
}

#[test]
fn a_missing_or_foreign_jar_is_named() {
    let caption = || vec!["a".to_owned()];
    let refused = |jar: &Path| {
        score(MeteorSource::Program(jar), &[vec![caption()]], &[caption()]).unwrap_err().to_string()
    };
    let missing = refused(Path::new("no-such.jar"));
    assert!(missing.contains("no-such.jar is not there"), "{missing}");
    if !java() {
        return;
    }
    let foreign = refused(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    assert!(foreign.contains("Cargo.toml does not answer as METEOR 1.5 does"), "{foreign}");
}
