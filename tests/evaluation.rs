//! What an evaluation writes, and the program `evaluate` on captions of any system.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use artifacts::per_image::{self, PerImageRow};
use artifacts::results::CaptionResult;
use artifacts::{Manifest, Split, table};
use evaluate::Evaluate;
use model::weights;
use pipeline_tests::{Workspace, message, program};
use serde_json::{Value, json};
use tch::Tensor;

use crate::captions::trained;

const DECODERS: &str = "train.decoders=[\"soft_attention\", \"transformer\"]";

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn evaluate(args: &[&str]) -> Output {
    Command::new(program("evaluate")).args(args).output().unwrap()
}

/// `evaluate score` of two files in a folder of their own.
fn score(references: &[u8], hypotheses: &[u8]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["references.json", "hypotheses.json"].map(|name| folder.path().join(name));
    fs::write(&paths[0], references).unwrap();
    fs::write(&paths[1], hypotheses).unwrap();
    let [references, hypotheses] = paths.each_ref().map(|path| path.to_str().unwrap());
    let resamples = ["--resamples", "20", "--json"];
    evaluate(&[&["score", "--references", references, "--hypotheses", hypotheses], &resamples[..]].concat())
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

/// BLEU-1 to 4, ROUGE-L and CIDEr-D.
fn values(scores: &Value) -> Vec<f64> {
    let bleu = scores["bleu"].as_array().unwrap().iter();
    bleu.chain([&scores["rouge_l"], &scores["cider_d"]]).map(|value| value.as_f64().unwrap()).collect()
}

fn assert_close(ours: &Value, theirs: &Value) {
    for (our, their) in values(ours).into_iter().zip(values(theirs)) {
        assert!((our - their).abs() <= 1e-9, "{ours} is not {theirs}");
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
fn an_evaluation_says_how_it_was_made_and_holds_every_image() {
    let workspace = trained(&[
        DECODERS,
        "evaluate.attention_images=2",
        "evaluate.resamples=20",
        "evaluate.ensemble=[\"soft_attention\", \"transformer\"]",
    ]);
    let folder = workspace.run_folder();
    let (names, ensemble) =
        (["resnet18-soft_attention", "resnet18-transformer"], "resnet18-soft_attention+transformer");
    for name in [names[0], names[1], ensemble] {
        let evaluation = folder.evaluate(name, Split::Val);
        let scores = read(&evaluation.join("scores.json"));
        let (protocol, details) = (&scores["protocol"], &scores["details"]);
        assert_eq!((&scores["model"], &protocol["split"]), (&json!(name), &json!("val")));
        assert_eq!((&protocol["images"], &protocol["references_per_image"]), (&json!(12), &json!([5, 5])));
        assert!(protocol["tokenizer"].as_str().unwrap().contains("Penn Treebank"));
        for rule in ["bleu", "rouge_l", "cider_d", "intervals"] {
            assert!(!protocol[rule].as_str().unwrap().is_empty(), "{rule}");
        }
        assert_eq!(scores["bootstrap"], json!({ "resamples": 20, "seed": 1 }));
        assert!(scores["meteor"]["not_computed"].as_str().unwrap().contains("jar"));
        let search = &details["search"];
        assert_eq!([&search["beam_size"], &search["max_length"]], [&json!(3), &json!(8)]);
        assert!(search["length_penalty"].is_number() && search["min_length"].is_number());
        let spec = &details["features"][0];
        assert_eq!(spec["backbone"], "resnet18");
        assert_eq!(spec["weights_sha256"].as_str().unwrap().len(), 64);
        let members = details["checkpoints"].as_object().unwrap();
        assert_eq!(members.len(), if name == ensemble { 2 } else { 1 });
        for (member, hash) in members {
            let train = folder.train(member);
            let written = Manifest::read(&train).unwrap().hash_of(&train, "model.safetensors").unwrap();
            assert_eq!(hash, &written);
            assert_eq!(scores["inputs"][format!("train/{member}/model.safetensors")], written);
        }
        assert!(scores["inputs"]["features/resnet18"].is_string());
        for (score, interval) in values(&scores["scores"]).iter().zip(values_of_intervals(&scores)) {
            let [low, high] = interval;
            assert!(low <= score + 1e-9 && *score <= high + 1e-9, "{score} {low} {high}");
        }

        let (rows, _) = table::read::<PerImageRow>(&evaluation.join(per_image::FILE)).unwrap();
        let captions: Vec<CaptionResult> =
            serde_json::from_value(read(&evaluation.join("captions.json"))).unwrap();
        assert_eq!(rows.len(), 12);
        for (row, written) in rows.iter().zip(&captions) {
            assert_eq!((&row.image_id, &row.caption), (&written.image_id, &written.caption));
            assert_eq!(row.references.len(), 5);
            assert!(row.log_probability < 0.0 && row.log_probability.is_finite());
        }
        let mean = |of: fn(&PerImageRow) -> f64| rows.iter().map(of).sum::<f64>() / 12.0;
        assert!((mean(|row| row.cider_d) - scores["scores"]["cider_d"].as_f64().unwrap()).abs() < 1e-12);
        assert!((mean(|row| row.rouge_l) - scores["scores"]["rouge_l"].as_f64().unwrap()).abs() < 1e-12);
        // What others make of the two files is what the stage made of them.
        let said: Vec<(&str, &str)> = rows
            .iter()
            .flat_map(|row| row.references.iter().map(|caption| (row.image_id.as_str(), caption.as_str())))
            .collect();
        assert_close(
            &scored(&references(&said), &read(&evaluation.join("captions.json")))["scores"],
            &scores["scores"],
        );

        let report = fs::read_to_string(evaluation.join("report.html")).unwrap();
        assert_eq!(report.matches("id=\"photo-").count(), 12);
        assert_eq!(fs::read_dir(evaluation.join("attention")).unwrap().count(), 2);
    }
    let parameters = |name: &str| {
        let scores = read(&folder.evaluate(name, Split::Val).join("scores.json"));
        scores["details"]["parameters"].as_u64().unwrap()
    };
    assert_eq!(parameters(ensemble), names.map(parameters).iter().sum::<u64>());

    let wrong =
        |list: &str| message(workspace.run::<Evaluate>(&[DECODERS, &format!("evaluate.ensemble={list}")]));
    let untrained = wrong(r#"["soft_attention", "up_down"]"#);
    assert!(untrained.contains("evaluate.ensemble") && untrained.contains("resnet18-up_down is not trained"));
    assert!(wrong(r#"["transformer"]"#).contains("at least two different decoders"));
    assert!(wrong(r#"["transformer", "transformer"]"#).contains("at least two different decoders"));
}

fn values_of_intervals(scores: &Value) -> Vec<[f64; 2]> {
    let intervals = &scores["intervals"];
    let bleu = intervals["bleu"].as_array().unwrap().iter();
    let all = bleu.chain([&intervals["rouge_l"], &intervals["cider_d"]]);
    all.map(|interval| serde_json::from_value(interval.clone()).unwrap()).collect()
}

#[test]
fn seeds_stand_side_by_side_on_the_same_features() {
    let workspace = Workspace::new(
        r#"
        [dataset]
        layout = "scenes"
        scenes = 16
        val_fraction = 0.5
        test_fraction = 0.0
        [preprocess]
        backbone = "resnet18"
        [text]
        min_count = 1
        [train]
        decoders = ["lstm", "soft_attention"]
        epochs = 1
        warmup_steps = 2
        lstm = { embedding_size = 8, feature_size = 8, hidden_size = 8 }
        soft_attention = { embedding_size = 8, feature_size = 8, hidden_size = 8, attention_size = 8 }
        [evaluate]
        attention_images = 0
        report_images = 0
        resamples = 20
        search = { max_length = 8 }
        "#,
    )
    .with_weights("resnet18");
    let programs = ["artifacts", "dataset", "preprocess", "text", "train", "evaluate"].map(program);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/ablation.sh");
    let ablation = |seeds: &str| {
        let config = workspace.path("config.toml");
        let mut command = Command::new(&script);
        command.arg(config).args(["--seeds", seeds]).env("BIN", programs[0].parent().unwrap());
        command.env("OMP_NUM_THREADS", "1").output().unwrap()
    };
    let output = ablation("1,2");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = lines.lines().filter(|line| line.starts_with("| resnet18-")).collect();
    assert_eq!(rows.len(), 2, "{lines}");
    assert!(rows.iter().all(|row| row.contains("| 2 |") && row.contains("seeds")), "{lines}");
    assert!(rows[1].contains("(p ") && !rows[0].contains("(p "), "{lines}");

    let runs = ["runs/test-seed1", "runs/test-seed2"].map(|run| workspace.path(run));
    let [first, second] = runs.each_ref().map(|run| {
        let scores = run.join("evaluate/resnet18-soft_attention/val/scores.json");
        values(&read(&scores)["scores"])
    });
    let paths = runs.each_ref().map(|run| run.to_str().unwrap());
    let compared = evaluate(&["compare", paths[0], paths[1], "--json", "--resamples", "20"]);
    let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
    let row = &compared["decoders"][1];
    assert_eq!((&row["model"], &compared["images"]), (&json!("resnet18-soft_attention"), &json!(8)));
    assert!(row["parameters"].as_u64().unwrap() > 1000 && row["seconds_per_epoch"].as_f64().unwrap() > 0.0);
    for ((mean, first), second) in values(&row["scores"]).iter().zip(first).zip(second) {
        assert!((mean - (first + second) / 2.0).abs() < 1e-12);
    }
    let wrong = ablation("one");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("--seeds needs numbers"));
}

#[test]
fn captions_of_any_system_score_as_pycocoevalcap_scores_them() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/metrics/tests/fixtures");
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
    let twice = refused(&captions(&[("1", "a dog"), ("2", "a cat"), ("1", "a dog")]));
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
fn bad_captions_are_scored_or_refused_in_words() {
    let long = "word ".repeat(10_000);
    let strange = references(&[("1", "a dog"), ("1", ""), ("2", &long), ("2", "a cat"), ("3", " . ")]);
    let report = scored(&strange, &hypotheses(&[("1", ""), ("2", &long), ("3", "a bird")]));
    let found = values(&report["scores"]);
    assert!(found.iter().all(|score| score.is_finite() && *score > 0.0), "{found:?}");
    assert_eq!(report["lengths"]["longest"], 10_000);
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("2 references hold no word") && warnings.contains("1 of 3 hypotheses are empty")
    );

    let good = references(&[("1", "a dog")]).to_string();
    let (good, caption) = (good.as_bytes(), br#"[{"image_id": 1, "caption": "a dog"}]"#);
    let utf8 = refused(good, b"[{\"image_id\": 1, \"caption\": \"a \xff dog\"}]");
    assert!(utf8.contains("hypotheses.json") && utf8.contains("invalid unicode"), "{utf8}");
    assert!(refused(caption, caption).contains("references.json is not JSON of the shape"));
    assert!(refused(good, good).contains("hypotheses.json is not JSON of the shape"));
    let nan = refused(good, br#"[{"image_id": 1, "caption": "a dog", "log_probability": NaN}]"#);
    assert!(nan.contains("line 1"), "{nan}");
    assert!(refused(good, b"").contains("hypotheses.json"));
}

#[test]
fn a_model_that_answers_nan_is_named_and_nothing_is_written() {
    let workspace = trained(&["evaluate.resamples=20"]);
    let name = "resnet18-soft_attention";
    let path = workspace.run_folder().train(name).join("model.safetensors");
    let file = weights::read(&path).unwrap();
    let nan = |tensor: &Tensor| tensor.full_like(f64::NAN);
    let tensors = file.tensors().iter().map(|(name, tensor)| (name.clone(), nan(tensor))).collect();
    weights::write_safetensors(&path, &tensors, file.metadata()).unwrap();
    let message = message(workspace.run_with::<Evaluate>(&["evaluate.resamples=20"], true));
    assert!(message.contains(name) && message.contains("scores that are not numbers"), "{message}");
    let evaluation = workspace.run_folder().evaluate(name, Split::Val);
    assert!(!evaluation.join("manifest.json").exists());
}
