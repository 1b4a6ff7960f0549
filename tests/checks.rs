//! What no stage could use is refused before anything is read, drawn or computed.

use std::path::Path;
use std::process::Command;

use dataset::Dataset;
use evaluate::Evaluate;
use pipeline_tests::{Workspace, program};
use preprocess::Preprocess;
use stage::{Context, Stage};
use text::Text;
use train::Train;
use tune::Tune;

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 20
[preprocess]
backbone = "resnet18"
[text]
min_count = 1
"#;

fn workspace() -> Workspace {
    Workspace::new(CONFIG).with_weights("resnet18")
}

/// What each stage refuses, on its own section and on the dataset to come.
fn refusals(workspace: &Workspace, overrides: &[&str]) -> Vec<String> {
    fn of<S: Stage>(context: &Context) -> Option<String> {
        let foreseen = context.checked::<S>().and_then(|settings| {
            let preview = dataset::preview(context)?;
            S::foresee(&settings, context, &preview)
        });
        foreseen.err().map(|error| format!("{error:#}"))
    }
    let context = workspace.context(overrides).unwrap();
    if let Err(error) = context.checked::<Dataset>() {
        return vec![format!("{error:#}")];
    }
    let all = [
        of::<Preprocess>(&context),
        of::<Text>(&context),
        of::<Tune>(&context),
        of::<Train>(&context),
        of::<Evaluate>(&context),
    ];
    all.into_iter().flatten().collect()
}

#[test]
fn every_wrong_value_is_refused_by_its_stage_and_named_with_what_is_allowed() {
    let workspace = workspace();
    assert_eq!(refusals(&workspace, &[]), [""; 0]);
    let wrong = [
        ("dataset.scenes=0", "dataset.scenes", "at least 1"),
        ("dataset.val_fraction=-0.1", "dataset.val_fraction", "at least 0 and below 1"),
        ("dataset.test_fraction=1", "dataset.test_fraction", "at least 0 and below 1"),
        ("dataset.max_bad_fraction=2", "dataset.max_bad_fraction", "between 0 and 1"),
        ("preprocess.backbone=resnet51", "preprocess.backbone", "did you mean `resnet50`?"),
        ("preprocess.backbone=[]", "preprocess.backbone", "at least one"),
        ("preprocess.backbone=resnet34", "run.weights", "run `just weights resnet34`"),
        ("preprocess.views=[]", "preprocess.views", "at least one view"),
        ("preprocess.views=[\"flip\", \"flip\"]", "preprocess.views", "each view once"),
        ("preprocess.weights=tuend", "preprocess.weights", "expected `published` or `tuned`"),
        ("preprocess.weights=[\"tuned\", \"tuned\"]", "preprocess.weights", "a list with one for each"),
        ("preprocess.engine=tensorrt", "preprocess.engine", "`auto`, `torch`, `onnx`"),
        ("preprocess.part_images=0", "preprocess.part_images", "at least 1"),
        ("preprocess.max_bad_fraction=-1", "preprocess.max_bad_fraction", "between 0 and 1"),
        ("preprocess.shard=\"4/4\"", "preprocess.shard", "0 to n − 1"),
        ("text.max_length=0", "text.max_length", "at least 1"),
        ("text.min_count=100000", "text.min_count", "the commonest one of the train captions occurs"),
        ("tune.epochs=0", "tune.epochs", "at least 1"),
        ("tune.for.resnet51.epochs=1", "tune.for.resnet51", "did you mean `resnet50`?"),
        ("train.decoders=[]", "train.decoders", "at least one decoder"),
        ("train.start_from=no-such.safetensors", "train.start_from", "no-such.safetensors"),
        ("train.epochs=0", "train.epochs", "at least 1"),
        ("train.batch_images=0", "train.batch_images", "at least 1"),
        ("train.learning_rate=-1", "train.learning_rate", "above 0"),
        ("train.gradient_clip=0", "train.gradient_clip", "above 0"),
        ("train.transformer.model_size=100", "train.transformer.model_size", "multiple of"),
        ("train.self_critical.samples=1", "train.self_critical.samples", "at least 2"),
        ("evaluate.search.beam_size=0", "evaluate.search.beam_size", "at least 1"),
        ("evaluate.search.min_length=40", "evaluate.search.min_length", "above max_length"),
        ("evaluate.resamples=0", "evaluate.resamples", "at least 1"),
        ("evaluate.ensemble=[\"lstm\"]", "evaluate.ensemble", "at least two different decoders"),
        ("evaluate.ensemble=[\"lstm\", \"lsmt\"]", "evaluate.ensemble", "unknown variant `lsmt`"),
        ("evaluate.ensemble=[\"lstm\", \"up_down\"]", "evaluate.ensemble", "nor among train.decoders"),
        ("evaluate.meteor_jar=no-such.jar", "evaluate.meteor_jar", "no-such.jar"),
        ("evaluate.guest=no-such.safetensors", "evaluate.guest", "no-such.safetensors"),
    ];
    for (value, key, allowed) in wrong {
        let refused = refusals(&workspace, &[value]);
        assert!(!refused.is_empty(), "{value}");
        // What is wrong with the sources of features, later stages may say too.
        for refused in refused {
            assert!(refused.contains(&format!("`{key}`")) && refused.contains(allowed), "{value}: {refused}");
        }
    }
    // Captions enough for everything, but no image to choose or to test by.
    let alone = refusals(&workspace, &["dataset.val_fraction=0", "evaluate.split=test"]);
    assert!(alone.len() == 1 && alone[0].contains("no captioned val image"), "{alone:?}");
    let untested = refusals(&workspace, &["dataset.test_fraction=0", "evaluate.split=test"]);
    assert!(untested.len() == 1 && untested[0].contains("`evaluate.split`"), "{untested:?}");
}

#[test]
fn an_engine_that_cannot_compute_what_is_asked_for_is_refused() {
    let workspace = workspace();
    let bf16 = refusals(&workspace, &["preprocess.engine=onnx", "preprocess.precision=bf16"]);
    assert!(
        bf16.len() == 1 && bf16[0].contains("`preprocess.engine`") && bf16[0].contains("f32 alone"),
        "{bf16:?}"
    );
    assert_eq!(refusals(&workspace, &["preprocess.engine=torch", "preprocess.precision=bf16"]), [""; 0]);
    assert_eq!(refusals(&workspace, &["preprocess.precision=bf16"]), [""; 0]);

    let check = |engine: &str| {
        let mut command = Command::new(program("preprocess"));
        command.arg("--config").arg(workspace.path("config.toml")).args(["--check", "--device", "cpu"]);
        let output = command.args(["--set", engine]).env("ORT_DYLIB_PATH", "/no/such/library.so").output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, missing) = check("preprocess.engine=auto");
    assert_eq!(code, Some(2), "{missing}");
    for said in ["`preprocess.engine`", "scripts/get-onnxruntime.sh", "preprocess.engine = \"torch\""] {
        assert!(missing.lines().count() == 1 && missing.contains(said), "{missing}");
    }
    let (code, said) = check("preprocess.engine=torch");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn the_pipeline_ends_before_it_has_made_anything() {
    let workspace = workspace();
    let programs = ["dataset", "preprocess", "text", "tune", "train", "evaluate", "artifacts"].map(program);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/pipeline.sh");
    for (value, key) in [
        ("train.learning_rate=-1", "train.learning_rate"),
        ("evaluate.search.beam_size=0", "evaluate.search.beam_size"),
        ("preprocess.views=[]", "preprocess.views"),
        ("text.min_count=100000", "text.min_count"),
        ("preprocess.backbone=\"resnet51\"", "preprocess.backbone"),
    ] {
        let mut command = Command::new(&script);
        command.arg(workspace.path("config.toml")).args(["--set", value, "--device", "cpu"]);
        let output = command.env("BIN", programs[0].parent().unwrap()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{value}: {said}");
        assert!(said.lines().count() == 1 && said.contains(&format!("`{key}`")), "{value}: {said}");
        assert!(!workspace.path("runs").exists(), "{value} left something behind");
    }
}
