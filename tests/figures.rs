//! The figures of the documents are those of this code: a small fixed run gives the numbers that it gave when they were
//! measured, or its stages say by their schema versions that they do not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use artifacts::features::FeatureSet;
use artifacts::per_image::{self, PerImage};
use artifacts::{Manifest, RunFolder, Split};
use dataset::Dataset;
use evaluate::Evaluate;
use pipeline_tests::Workspace;
use preprocess::Preprocess;
use scoring::ScoreFile;
use scoring::figures::Figures;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use text::Text;
use torch::grids::GridStore;
use train::Train;

/// What processors differ by.
const TOLERANCE: f64 = 1e-3;
/// Where it is set, the numbers of the small run are written down anew.
const RECORD: &str = "RECORD_FIGURES";

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 24
val_fraction = 0.25
test_fraction = 0.0

[preprocess]
backbone = "resnet18"

[text]
min_count = 1

[train]
decoders = ["lstm"]
epochs = 2
batch_images = 6
warmup_steps = 2
learning_rate = 0.01
label_smoothing = 0.1
lstm = { embedding_size = 16, feature_size = 16, hidden_size = 16 }

[evaluate]
attention_images = 0
resamples = 20
# Without it the best log-probability of a beam moves by no more than the scores of the words do.
search = { max_length = 8, length_penalty = 0.0 }
"#;

/// What a stage gave, and the schema version that stands for how.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Stage {
    schema_version: u32,
    numbers: BTreeMap<String, f64>,
}

type Stages = BTreeMap<String, Stage>;

/// A file of the repository.
pub(crate) fn at_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn numbers(folder: &RunFolder) -> Stages {
    let model = folder.train("resnet18-lstm");
    let evaluated = folder.evaluate("resnet18-lstm", Split::Val);
    let summary = |folder: &Path, key: &str| {
        (key.to_owned(), Manifest::read(folder).unwrap().summary[key].as_f64().unwrap())
    };
    let set = FeatureSet::open(&folder.features("resnet18")).unwrap();
    let store = GridStore::open(vec![set], Split::Val, 0).unwrap();
    let grids = store.read(&(0..store.len()).collect::<Vec<_>>()).unwrap();
    let mean =
        |power: i32| grids.iter().map(|value| value.to_f64().powi(power)).sum::<f64>() / grids.len() as f64;
    let log = fs::read_to_string(model.join("metrics.jsonl")).unwrap();
    let losses = log.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        Some((format!("loss at step {}", line["step"]), line["train/epoch_loss"].as_f64()?))
    });
    let human = ScoreFile::read(&folder.evaluate("human", Split::Val)).unwrap();
    let scores = human.sheet.scores.iter().map(|(metric, score)| (format!("human {metric}"), score));
    let rows = PerImage::read(&evaluated.join(per_image::FILE)).unwrap().rows;
    let log_probability = rows.iter().map(|row| row.log_probability).sum::<f64>() / rows.len() as f64;
    let stages: [(&str, &Path, BTreeMap<String, f64>); 5] = [
        (
            "dataset",
            &folder.dataset(),
            BTreeMap::from([
                summary(&folder.dataset(), "train_images"),
                summary(&folder.dataset(), "captions"),
            ]),
        ),
        ("text", &folder.text(), BTreeMap::from([summary(&folder.text(), "vocabulary")])),
        (
            "preprocess",
            &folder.features("resnet18"),
            BTreeMap::from([("mean".to_owned(), mean(1)), ("mean square".to_owned(), mean(2))]),
        ),
        ("train", &model, losses.collect()),
        (
            "evaluate",
            &evaluated,
            scores.chain([("mean log-probability".to_owned(), log_probability)]).collect(),
        ),
    ];
    let stage = |(stage, folder, numbers): (&str, &Path, _)| {
        let schema_version = Manifest::read(folder).unwrap().recipe.schema_version;
        (stage.to_owned(), Stage { schema_version, numbers })
    };
    stages.into_iter().map(stage).collect()
}

#[test]
fn a_change_of_the_computation_raises_its_schema_version() {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    workspace.run::<Dataset>(&[]).unwrap();
    workspace.run::<Preprocess>(&[]).unwrap();
    workspace.run::<Text>(&[]).unwrap();
    workspace.run::<Train>(&[]).unwrap();
    workspace.run::<Evaluate>(&[]).unwrap();
    let found = numbers(&workspace.run_folder());
    let path = at_root("docs/figures/small.json");
    if std::env::var_os(RECORD).is_some() {
        return artifacts::atomic::write_json(&path, &found).unwrap();
    }
    let recorded: Stages = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let demo = Figures::recorded(&at_root("docs/figures/demo.json")).unwrap();
    for (stage, Stage { schema_version, numbers }) in &found {
        let old = &recorded[stage];
        assert!(
            (old.schema_version, demo.stages[stage]) == (*schema_version, *schema_version),
            "the figures were measured at other schema versions of {stage}: run `just figures`"
        );
        assert!(numbers.keys().eq(old.numbers.keys()), "{stage}: run `just figures`");
        for (name, number) in numbers {
            let before = old.numbers[name];
            assert!(
                (number - before).abs() <= TOLERANCE * before.abs(),
                "{stage} gives another {name}: {number}, once {before}. If that is meant, raise its SCHEMA_VERSION, and \
                 measure anew with `just figures`"
            );
        }
    }
}

#[test]
fn the_table_of_the_readme_is_the_recorded_one() {
    let demo = Figures::recorded(&at_root("docs/figures/demo.json")).unwrap();
    let readme = fs::read_to_string(at_root("README.md")).unwrap();
    assert!(demo.into_document(&readme).unwrap() == readme, "README.md: run `just figures`");
}
