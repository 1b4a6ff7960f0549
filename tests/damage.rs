//! One flipped byte or a cut tail in any artifact: the stage that reads it refuses it by its name, or gives what it gave.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use artifacts::manifest::{Manifest, Output};
use artifacts::{RunFolder, Split};
use dataset::Dataset;
use evaluate::Evaluate;
use pipeline_tests::{Workspace, message, program};
use preprocess::Preprocess;
use stage::{Outcome, Stage};
use text::Text;
use train::Train;

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 8
val_fraction = 0.25
test_fraction = 0.0
[preprocess]
backbone = "resnet18"
[text]
min_count = 1
[train]
decoders = ["lstm"]
epochs = 1
batch_images = 6
lstm = { embedding_size = 8, feature_size = 8, hidden_size = 8 }
[evaluate]
attention_images = 0
report_images = 0
resamples = 10
search = { max_length = 8 }
"#;
/// Bytes that are flipped in each file.
const PLACES: usize = 8;

type Run = fn(&Workspace) -> anyhow::Result<Vec<Outcome>>;

fn run<S: Stage>(workspace: &Workspace) -> anyhow::Result<Vec<Outcome>> {
    workspace.run_with::<S>(&[], true)
}

/// What a stage wrote.
fn outputs(outcomes: Vec<Outcome>) -> Vec<(PathBuf, Vec<Output>)> {
    outcomes.into_iter().map(|outcome| (outcome.folder, outcome.manifest.outputs)).collect()
}

#[test]
fn damage_is_refused_by_name_or_changes_nothing() {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    for stage in [run::<Dataset>, run::<Preprocess>, run::<Text>, run::<Train>, run::<Evaluate>] {
        stage(&workspace).unwrap();
    }
    let folder: RunFolder = workspace.run_folder();
    let features = folder.features("resnet18");
    let part = Manifest::read(&features).unwrap().outputs.remove(0).file;
    let read: [(PathBuf, Run); 9] = [
        (workspace.part(&folder.dataset(), "images"), run::<Text>),
        (workspace.part(&folder.dataset(), "captions"), run::<Text>),
        (folder.dataset().join("manifest.json"), run::<Text>),
        (folder.text().join("vocabulary.json"), run::<Train>),
        (workspace.part(&folder.text(), "tokens"), run::<Train>),
        (features.join(part), run::<Train>),
        (features.join("_manifest.json"), run::<Train>),
        (folder.train("resnet18-lstm").join("model.safetensors"), run::<Evaluate>),
        (folder.train("resnet18-lstm").join("manifest.json"), run::<Evaluate>),
    ];
    let mut refused = 0;
    for (path, reader) in read {
        let whole = fs::read(&path).unwrap();
        let undisturbed = outputs(reader(&workspace).unwrap());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut check = |damaged: &[u8], told: String| {
            fs::write(&path, damaged).unwrap();
            match reader(&workspace) {
                Ok(outcomes) => assert_eq!(outputs(outcomes), undisturbed, "{told}"),
                error => {
                    let message = message(error);
                    let names =
                        message.contains(&name) && (message.contains("delete") || message.contains("run"));
                    assert!(names, "{told}: {message}");
                    refused += 1;
                }
            }
            fs::write(&path, &whole).unwrap();
        };
        for number in 0..PLACES {
            let place = (2 * number + 1) * whole.len() / (2 * PLACES);
            let mut flipped = whole.clone();
            flipped[place] ^= 1 << (number % 8);
            check(&flipped, format!("byte {place} of {}", path.display()));
        }
        check(&whole[..whole.len() - 9], format!("{} without its tail", path.display()));
        let mut zeroed = whole.clone();
        zeroed[whole.len() / 2..].fill(0);
        check(&zeroed, format!("{} with zeros in its second half", path.display()));
    }
    assert!(refused > 6 * PLACES, "{refused} were refused");
    let scores = folder.evaluate("resnet18-lstm", Split::Val).join("scores.json");
    let text = fs::read_to_string(&scores).unwrap();
    fs::write(&scores, text.replacen("unfinished\": ", "unfinished\": 1", 1)).unwrap();
    let error = message(scoring::ScoreFile::read(scores.parent().unwrap()));
    assert!(error.contains("scores.json is damaged") && error.contains("run `evaluate` again"), "{error}");

    // All of it at a look, behind the first damage too.
    let manifest = folder.text().join("manifest.json");
    let mut bytes = fs::read(&manifest).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&manifest, bytes).unwrap();
    fs::remove_file(folder.train("resnet18-lstm").join("metrics.jsonl")).unwrap();
    let verify = Command::new(program("artifacts")).arg("verify").arg(folder.path()).output().unwrap();
    let said = String::from_utf8(verify.stdout).unwrap();
    let damaged: Vec<&str> = said.lines().filter(|line| line.starts_with("DAMAGED")).collect();
    assert_eq!((verify.status.code(), damaged.len()), (Some(1), 3), "{said}");
    for (line, file) in
        damaged.iter().zip(["val/scores.json: not what", "text/manifest.json", "metrics.jsonl: No such"])
    {
        assert!(line.contains(file), "{said}");
    }
}
