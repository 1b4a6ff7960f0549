//! From drawn scenes to scores, and what a change makes run again.

use std::fs;
use std::path::Path;

use artifacts::results::CaptionResult;
use artifacts::{Manifest, ModelId, Split};
use dataset::Dataset;
use evaluate::Evaluate;
use pipeline_tests::Workspace;
use preprocess::Preprocess;
use serde_json::Value;
use stage::{Config, Outcome, Sources, Stage};
use text::Text;
use train::Train;

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 24
val_fraction = 0.25
test_fraction = 0.0

[preprocess]
backbone = "resnet18"
part_images = 10

[text]
min_count = 1

[train]
decoders = ["lstm", "soft_attention"]
epochs = 2
batch_images = 6
warmup_steps = 2
lstm = { embedding_size = 8, feature_size = 8, hidden_size = 8 }
soft_attention = { embedding_size = 8, feature_size = 8, hidden_size = 8, attention_size = 8 }

[evaluate]
attention_images = 2
search = { max_length = 8 }
"#;

fn workspace() -> Workspace {
    Workspace::new(CONFIG).with_weights("resnet18")
}

/// Runs all stages; for each whether it had something to do.
fn pipeline(workspace: &Workspace, overrides: &[&str], force: bool) -> Vec<(&'static str, bool)> {
    fn worked<S: Stage>(workspace: &Workspace, overrides: &[&str], force: bool) -> (&'static str, bool) {
        let outcomes = workspace.run_with::<S>(overrides, force).unwrap();
        (S::NAME, outcomes.iter().any(|outcome: &Outcome| !outcome.up_to_date))
    }
    vec![
        worked::<Dataset>(workspace, overrides, force),
        worked::<Preprocess>(workspace, overrides, force),
        worked::<Text>(workspace, overrides, force),
        worked::<Train>(workspace, overrides, force),
        worked::<Evaluate>(workspace, overrides, force),
    ]
}

fn stages_that_worked(workspace: &Workspace, overrides: &[&str]) -> Vec<&'static str> {
    let stages = pipeline(workspace, overrides, false).into_iter();
    stages.filter(|(_, worked)| *worked).map(|(stage, _)| stage).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn scenes_become_scored_captions_and_a_change_reruns_what_it_touches() {
    let workspace = workspace();
    let all = ["dataset", "preprocess", "text", "train", "evaluate"];
    assert_eq!(stages_that_worked(&workspace, &[]), all);

    let folder = workspace.run_folder();
    for decoder in ["lstm", "soft_attention"] {
        let evaluation = folder.evaluate(format!("resnet18-{decoder}"), Split::Val);
        let captions: Vec<CaptionResult> =
            serde_json::from_value(json(&evaluation.join("captions.json"))).unwrap();
        assert_eq!(captions.len(), 6);
        assert!(captions.iter().all(|caption| !caption.caption.is_empty()));
        let scores = json(&evaluation.join("scores.json"));
        assert_eq!(scores["protocol"]["images"], 6);
        assert_eq!(scores["protocol"]["references_per_image"], serde_json::json!([5, 5]));
        assert!(scores["scores"]["bleu_1"].as_f64().unwrap() > 0.0);
        let pictures = fs::read_dir(evaluation.join("attention")).map_or(0, Iterator::count);
        assert_eq!(pictures, if decoder == "lstm" { 0 } else { 2 });
    }
    let blind = json(&folder.evaluate("blind", Split::Val).join("scores.json"));
    assert_eq!(blind["distinct_captions"], 1);

    assert!(stages_that_worked(&workspace, &[]).is_empty());
    assert_eq!(stages_that_worked(&workspace, &["evaluate.search.beam_size=2"]), ["evaluate"]);
    assert_eq!(stages_that_worked(&workspace, &["train.learning_rate=0.002"]), ["train", "evaluate"]);
    // Back to the first settings: the artifacts of the changed ones are replaced again.
    assert_eq!(stages_that_worked(&workspace, &[]), ["train", "evaluate"]);
    assert_eq!(stages_that_worked(&workspace, &["text.min_count=2"]), ["text", "train", "evaluate"]);
    assert_eq!(pipeline(&workspace, &[], true), all.map(|stage| (stage, true)));
}

#[test]
fn another_backbone_reruns_extraction_and_lies_beside_the_first() {
    let workspace = workspace().with_weights("efficientnet_lite0");
    pipeline(&workspace, &[], false);
    let lite = ["preprocess.backbone=efficientnet_lite0"];
    assert_eq!(stages_that_worked(&workspace, &lite), ["preprocess", "train", "evaluate"]);
    assert!(stages_that_worked(&workspace, &[]).is_empty(), "the first backbone's artifacts are still there");
}

#[test]
fn tuned_weights_rerun_what_reads_their_features_and_lie_beside_the_published_ones() {
    let workspace = workspace();
    workspace.tune("resnet18", 2);
    pipeline(&workspace, &[], false);
    let (tuned, readers) = (["preprocess.weights=tuned"], ["preprocess", "train", "evaluate"]);
    assert_eq!(stages_that_worked(&workspace, &tuned), readers);
    for overrides in [&[][..], &tuned, &["preprocess.weights=[\"tuned\"]"]] {
        assert!(stages_that_worked(&workspace, overrides).is_empty(), "{overrides:?}");
    }
    let folder = workspace.run_folder();
    let hash = |set: &str| Manifest::read(&folder.features(set)).unwrap().hash_of_all();
    assert_ne!(hash("resnet18"), hash("resnet18.tuned"));
    let scores = json(&folder.evaluate("resnet18.tuned-lstm", Split::Val).join("scores.json"));
    assert_eq!(scores["id"]["sets"], serde_json::json!(["resnet18.tuned"]));
    // Tuned again to the same weights, nothing has changed; to others, what reads the published ones has not.
    workspace.tune("resnet18", 2);
    assert!(stages_that_worked(&workspace, &tuned).is_empty());
    workspace.tune("resnet18", 3);
    assert!(stages_that_worked(&workspace, &[]).is_empty());
    assert_eq!(stages_that_worked(&workspace, &tuned), readers);
}

#[test]
fn sets_whose_names_begin_alike_lie_side_by_side() {
    let workspace = workspace();
    let views = ["preprocess.views=[\"squash\"]", "preprocess.views=[\"squash-flip\"]"];
    for view in views {
        pipeline(&workspace, &[view], false);
    }
    let model = |set: &str| ModelId::new(&[set.to_owned()], "soft_attention");
    for set in ["resnet18.squash", "resnet18.squash-flip"] {
        let evaluation = workspace.run_folder().evaluate(model(set), Split::Val);
        assert_eq!(Manifest::read(&evaluation).unwrap().model, Some(model(set)));
        assert_eq!(json(&evaluation.join("scores.json"))["id"]["sets"], serde_json::json!([set]));
    }
    for view in views {
        assert!(stages_that_worked(&workspace, &[view]).is_empty(), "{view}");
    }
}

#[test]
fn two_backbones_are_cached_side_by_side_and_joined_in_training() {
    let workspace = workspace().with_weights("efficientnet_lite0");
    let both = ["preprocess.backbone=[\"resnet18\", \"efficientnet_lite0\"]"];
    pipeline(&workspace, &both, false);
    let folder = workspace.run_folder();
    let scores = json(&folder.evaluate("resnet18+efficientnet_lite0-lstm", Split::Val).join("scores.json"));
    assert_eq!(scores["protocol"]["images"], 6);
    // Each set stands for itself, too.
    assert_eq!(stages_that_worked(&workspace, &[]), ["train", "evaluate"]);
    let large =
        ["preprocess.backbone=[\"resnet18\", \"efficientnet_lite0\"]", "preprocess.views=[\"large\"]"];
    pipeline(&workspace, &large, false);
    assert!(folder.train("resnet18.large+efficientnet_lite0.large-lstm").join("model.safetensors").is_file());
}

#[test]
fn equal_seeds_give_equal_bytes_and_other_seeds_other_weights() {
    let workspace = workspace();
    let model = |overrides: &[&str]| {
        pipeline(&workspace, overrides, true);
        let folder = workspace.run_folder();
        fs::read(folder.train("resnet18-soft_attention").join("model.safetensors")).unwrap()
    };
    let first = model(&[]);
    assert!(first == model(&[]), "the same seed gave another checkpoint");
    assert!(first != model(&["run.seed=2"]));
}

#[test]
fn every_stage_understands_every_config() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");
    let mut configs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let config = Config::load(&path, &[]).unwrap();
        config.section::<<Dataset as Stage>::Settings>(Dataset::NAME).unwrap();
        config.section::<<Preprocess as Stage>::Settings>(Preprocess::NAME).unwrap();
        config.section::<<Text as Stage>::Settings>(Text::NAME).unwrap();
        config.section::<<Train as Stage>::Settings>(Train::NAME).unwrap();
        config.section::<<Evaluate as Stage>::Settings>(Evaluate::NAME).unwrap();
        Sources::of(&config).unwrap();
        configs += 1;
    }
    assert!(configs > 3);
}
