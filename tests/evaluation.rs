//! What an evaluation writes, and what the program `evaluate` makes of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use artifacts::per_image::{self, PerImage};
use artifacts::results::CaptionResult;
use artifacts::{Manifest, Split};
use evaluate::Evaluate;
use metrics::tokenize::caption_tokens;
use model::weights::{self, Array};
use pipeline_tests::{Workspace, message, program};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::captions::trained;

const DECODERS: &str = "train.decoders=[\"soft_attention\", \"transformer\"]";

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn evaluate(args: &[&str]) -> Output {
    Command::new(program("evaluate")).args(args).output().unwrap()
}

/// What `evaluate score` prints of two files in a folder of their own.
fn scored(references: &Value, hypotheses: &Value) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["references.json", "hypotheses.json"].map(|name| folder.path().join(name));
    fs::write(&paths[0], references.to_string()).unwrap();
    fs::write(&paths[1], hypotheses.to_string()).unwrap();
    let [references, hypotheses] = paths.each_ref().map(|path| path.to_str().unwrap());
    let files = ["score", "--references", references, "--hypotheses", hypotheses];
    let output = evaluate(&[&files[..], &["--resamples", "20", "--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The scores or intervals of a file, by the key of their metric.
fn by_key<T: DeserializeOwned>(scores: &Value) -> BTreeMap<String, T> {
    serde_json::from_value(scores.clone()).unwrap()
}

fn assert_close(ours: &Value, theirs: &Value) {
    let (ours, theirs) = (by_key::<f64>(ours), by_key::<f64>(theirs));
    assert!(ours.keys().eq(theirs.keys()), "{ours:?} {theirs:?}");
    for (key, our) in &ours {
        assert!((our - theirs[key]).abs() <= 1e-9, "{ours:?} is not {theirs:?}");
    }
}

fn references(captions: &[(&str, &str)]) -> Value {
    let annotation = |(image, caption): &(&str, &str)| json!({ "image_id": image, "caption": caption });
    json!({ "annotations": captions.iter().map(annotation).collect::<Vec<_>>() })
}

#[test]
fn an_evaluation_says_how_it_was_made_and_holds_every_image() {
    let workspace = trained(&[
        DECODERS,
        "dataset.scenes=60",
        "dataset.val_fraction=0.2",
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
        assert!(!protocol["intervals"].as_str().unwrap().is_empty());
        for (key, score) in by_key::<f64>(&scores["scores"]) {
            assert!(!protocol["metrics"][&key].as_str().unwrap().is_empty(), "{key}");
            let [low, high] = by_key::<[f64; 2]>(&scores["intervals"])[&key];
            assert!(low <= score + 1e-9 && score <= high + 1e-9, "{key} {score} {low} {high}");
        }
        assert_eq!(scores["bootstrap"], json!({ "resamples": 20, "seed": 1 }));
        assert!(scores["not_computed"]["meteor"].as_str().unwrap().contains("jar"));
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
        let PerImage { rows, scores: columns, .. } =
            PerImage::read(&evaluation.join(per_image::FILE)).unwrap();
        let captions: Vec<CaptionResult> =
            serde_json::from_value(read(&evaluation.join("captions.json"))).unwrap();
        assert_eq!(rows.len(), 12);
        for (row, written) in rows.iter().zip(&captions) {
            assert_eq!((&row.image_id, &row.caption), (&written.image_id, &written.caption));
            assert_eq!((row.references.len(), row.reference_words.len()), (5, 5));
            assert_eq!(row.words, caption_tokens(&row.caption));
            assert!(row.log_probability < 0.0 && row.log_probability.is_finite());
        }
        assert!(columns.keys().eq(by_key::<f64>(&scores["scores"]).keys()));
        for key in ["rouge_l", "cider_d"] {
            let mean = columns[key].iter().sum::<f64>() / 12.0;
            assert!((mean - scores["scores"][key].as_f64().unwrap()).abs() < 1e-12, "{key}");
        }
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

    // However many threads there are, the files are the same to the last byte: here of two batches of images.
    let bytes = |threads: &str| {
        let output = Command::new(program("evaluate"))
            .arg("--config")
            .arg(workspace.path("config.toml"))
            .args(["--force", "--quiet", "--set", "evaluate.split=train"])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        names.map(|name| Manifest::read(&folder.evaluate(name, Split::Train)).unwrap().outputs)
    };
    assert_eq!(bytes("1"), bytes("3"));

    let wrong =
        |list: &str| message(workspace.run::<Evaluate>(&[DECODERS, &format!("evaluate.ensemble={list}")]));
    let untrained = wrong(r#"["soft_attention", "up_down"]"#);
    assert!(untrained.contains("evaluate.ensemble") && untrained.contains("resnet18-up_down is not trained"));
    assert!(wrong(r#"["transformer"]"#).contains("at least two different decoders"));
    assert!(wrong(r#"["transformer", "transformer"]"#).contains("at least two different decoders"));
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
    let programs = ["artifacts", "dataset", "preprocess", "text", "tune", "train", "evaluate"].map(program);
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
        by_key::<f64>(&read(&scores)["scores"])
    });
    let paths = runs.each_ref().map(|run| run.to_str().unwrap());
    let compared = evaluate(&["compare", paths[0], paths[1], "--json", "--resamples", "20"]);
    let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
    let row = &compared["decoders"][1];
    assert_eq!((&row["model"], &compared["images"]), (&json!("resnet18-soft_attention"), &json!(8)));
    assert!(row["parameters"].as_u64().unwrap() > 1000 && row["seconds_per_epoch"].as_f64().unwrap() > 0.0);
    for (key, mean) in by_key::<f64>(&row["scores"]) {
        assert!((mean - (first[&key] + second[&key]) / 2.0).abs() < 1e-12, "{key}");
    }
    let wrong = ablation("one");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("--seeds needs numbers"));
}

#[test]
fn a_model_that_answers_nan_is_named_and_the_older_evaluation_stays() {
    let workspace = trained(&["evaluate.resamples=20"]);
    let name = "resnet18-soft_attention";
    let path = workspace.run_folder().train(name).join("model.safetensors");
    let file = weights::read(&path).unwrap();
    let nan =
        |array: &Array| Array::of_f32(array.shape().to_vec(), &vec![f32::NAN; array.elements()]).unwrap();
    let arrays = file.arrays().iter().map(|(name, array)| (name.clone(), nan(array))).collect();
    weights::write_safetensors(&path, &arrays, file.metadata()).unwrap();
    let manifest = workspace.run_folder().evaluate(name, Split::Val).join("manifest.json");
    let older = fs::read(&manifest).unwrap();
    let message = message(workspace.run_with::<Evaluate>(&["evaluate.resamples=20"], true));
    assert!(message.contains(name) && message.contains("scores that are not numbers"), "{message}");
    assert_eq!(fs::read(&manifest).unwrap(), older);
}
