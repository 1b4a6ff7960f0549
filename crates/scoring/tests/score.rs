//! The program `score` on captions of any system.

#![allow(clippy::unwrap_used, reason = "test utilities")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// `score` of two files in a folder of their own.
fn score(references: &[u8], hypotheses: &[u8]) -> Output {
    score_with(references, hypotheses, &[])
}

fn score_with(references: &[u8], hypotheses: &[u8], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["references.json", "hypotheses.json"].map(|name| folder.path().join(name));
    fs::write(&paths[0], references).unwrap();
    fs::write(&paths[1], hypotheses).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_score"));
    command.arg("--references").arg(&paths[0]).arg("--hypotheses").arg(&paths[1]);
    command.args(["--resamples", "20", "--json"]).args(arguments).output().unwrap()
}

fn scored(references: &Value, hypotheses: &Value) -> Value {
    let output = score(references.to_string().as_bytes(), hypotheses.to_string().as_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(references: &[u8], hypotheses: &[u8]) -> String {
    let output = score(references, hypotheses);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(output.stdout.is_empty() && !error.contains("panicked"), "{error}");
    error
}

/// Scores by the key of their metric.
fn by_key(scores: &Value) -> BTreeMap<String, f64> {
    serde_json::from_value(scores.clone()).unwrap()
}

fn assert_close(ours: &Value, theirs: &Value) {
    let (ours, theirs) = (by_key(ours), by_key(theirs));
    assert_eq!(theirs.len(), 6, "all that pycocoevalcap computes without Java");
    for (key, their) in &theirs {
        assert!((ours[key] - their).abs() <= 1e-9, "{ours:?} is not {theirs:?}");
    }
}

fn references(captions: &[(&str, &str)]) -> Value {
    let annotation = |(image, caption): &(&str, &str)| json!({ "image_id": image, "caption": caption });
    json!({ "annotations": captions.iter().map(annotation).collect::<Vec<_>>() })
}

fn hypotheses(captions: &[(&str, &str)]) -> Value {
    references(captions)["annotations"].clone()
}

#[test]
fn captions_of_any_system_score_as_pycocoevalcap_scores_them() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../metrics/tests/fixtures");
    let images = read(&fixtures.join("captions.json"));
    let (mut annotations, mut results) = (vec![], vec![]);
    // Ids whose order as text is another than as numbers, hypotheses in another order than references.
    for (number, image) in images.as_array().unwrap().iter().enumerate() {
        for caption in image["references"].as_array().unwrap() {
            annotations.push(json!({ "image_id": number + 1, "caption": caption }));
        }
        results.insert(0, json!({ "image_id": number + 1, "caption": image["hypothesis"] }));
    }
    let report = scored(&json!({ "annotations": annotations }), &json!(results));
    assert_close(&report["scores"], &read(&fixtures.join("expected.json"))["corpus"]);
    assert_eq!(report["protocol"]["images"], results.len());
}

#[test]
fn images_that_do_not_fit_are_refused_and_what_inflates_scores_is_said() {
    let two = references(&[("1", "a dog runs"), ("1", "a dog walks"), ("2", "a cat")]);
    let two = two.to_string();
    let captions = |captions: &[(&str, &str)]| hypotheses(captions).to_string();
    let refused = |hypotheses: &str| refused(two.as_bytes(), hypotheses.as_bytes());
    assert!(refused(&captions(&[("1", "a dog")])).contains("(2) have references but no hypothesis"));
    let twice = refused(&captions(&[("1", "a dog"), ("2", "a cat"), ("1", "a bird")]));
    assert!(twice.contains("(1) have more than one hypothesis"), "{twice}");
    let unknown = refused(&captions(&[("1", "a dog"), ("2", "a cat"), ("7", "a bird")]));
    assert!(unknown.contains("(7) have a hypothesis but no references"), "{unknown}");

    let given = hypotheses(&[("1", "<start> a dog <end>"), ("2", "a <unk> cat")]);
    let output = score(two.as_bytes(), given.to_string().as_bytes());
    let (report, said) = (output.stdout, String::from_utf8(output.stderr).unwrap());
    let report: Value = serde_json::from_slice(&report).unwrap();
    let warnings = report["warnings"].to_string();
    for warning in ["1 of 2 images have a single reference", "special tokens", "hold <unk>"] {
        assert!(warnings.contains(warning) && said.contains(warning), "{warning}: {warnings} {said}");
    }
}

#[test]
fn a_subset_is_scored_when_asked_for_and_said() {
    let all = references(&[("1", "a dog runs"), ("2", "a cat sits"), ("3", "a cow stands")]).to_string();
    let some = hypotheses(&[("1", "a dog"), ("3", "a cow")]).to_string();
    assert!(refused(all.as_bytes(), some.as_bytes()).contains("--subset scores the rest alone"));
    let output = score_with(all.as_bytes(), some.as_bytes(), &["--subset"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["protocol"]["images"], 2);
    assert!(report["warnings"][0].as_str().unwrap().starts_with("1 of 3 images have no hypothesis"));
    let part = references(&[("1", "a dog runs"), ("3", "a cow stands")]);
    assert_eq!(report["scores"], scored(&part, &hypotheses(&[("1", "a dog"), ("3", "a cow")]))["scores"]);
}

#[test]
fn bad_captions_are_scored_or_refused_in_words() {
    let long = "word ".repeat(10_000);
    let strange = references(&[("1", "a dog"), ("1", ""), ("2", &long), ("2", "a cat"), ("3", " . ")]);
    let report = scored(&strange, &hypotheses(&[("1", ""), ("2", &long), ("3", "a bird")]));
    let found = by_key(&report["scores"]);
    assert!(found.values().all(|score| score.is_finite() && *score > 0.0), "{found:?}");
    assert_eq!(report["lengths"]["longest"], 10_000);
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("2 references hold no word") && warnings.contains("1 of 3 hypotheses are empty")
    );

    let good = references(&[("1", "a dog")]).to_string();
    let (good, caption) = (good.as_bytes(), br#"[{"image_id": 1, "caption": "a dog"}]"#);
    let utf8 = refused(good, b"[{\"image_id\": 1, \"caption\": \"a \xff dog\"}]");
    assert!(utf8.contains("hypotheses.json:1: not UTF-8"), "{utf8}");
    assert!(refused(br#"{"info": 3}"#, caption).contains("references.json: "));
    assert!(refused(good, good).contains("these are references"));
    let nan = refused(good, br#"[{"image_id": 1, "caption": "a dog", "log_probability": NaN}]"#);
    assert!(nan.contains("line 1"), "{nan}");
    assert!(refused(good, b"").contains("hypotheses.json"));
}
