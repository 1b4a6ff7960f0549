//! Training on a few photos of one's own goes on from a model that others have trained, whatever words it knows.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use artifacts::vocabulary::{SPECIAL, Vocabulary};
use dataset::Dataset;
use image::{Rgb, RgbImage};
use model::checkpoint;
use pipeline_tests::{Workspace, message};
use preprocess::Preprocess;
use serde_json::Value;
use stage::Outcome;
use tch::Tensor;
use text::Text;
use torch::weights::tensor;
use train::Train;

const CONFIG: &str = r#"
[preprocess]
backbone = "resnet18"
views = ["squash"]

[text]
min_count = 1

[train]
decoders = ["soft_attention"]
epochs = 1
batch_images = 5
warmup_steps = 2
monitor = "bleu_4"
soft_attention = { embedding_size = 32, feature_size = 32, hidden_size = 32, attention_size = 16, dropout = 0.1 }
"#;

const COLOURS: [(&str, [u8; 3]); 4] =
    [("red", [200, 30, 30]), ("green", [30, 190, 40]), ("blue", [40, 50, 220]), ("yellow", [220, 210, 40])];

/// Forty pictures of one colour each, no two alike, with a caption beside each; `numbers` says which.
fn draw(folder: &Path, first: usize, caption: impl Fn(&str) -> String) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let mut table = "image,caption\n".to_owned();
    for number in first..first + 40 {
        let (name, [r, g, b]) = COLOURS[number % COLOURS.len()];
        let shade = number as u8 / 3;
        let picture = RgbImage::from_pixel(32, 32, Rgb([r + shade, g + shade, b + shade]));
        picture.save(folder.join(format!("{number}.png"))).unwrap();
        table += &format!("{number}.png,{}\n", caption(name));
    }
    let path = folder.join("captions.csv");
    fs::write(&path, table).unwrap();
    path
}

/// What the run that others have trained is told; `seed` makes another one of it.
fn of_others(workspace: &Workspace, seed: usize) -> [String; 5] {
    [
        format!("run.name=others-{seed}"),
        format!("run.seed={seed}"),
        format!("dataset.root={}", workspace.path("others/captions.csv").display()),
        "train.epochs=12".to_owned(),
        "train.learning_rate=0.01".to_owned(),
    ]
}

fn prepare(workspace: &Workspace, overrides: &[&str]) {
    workspace.run::<Dataset>(overrides).unwrap();
    workspace.run::<Preprocess>(overrides).unwrap();
    workspace.run::<Text>(overrides).unwrap();
}

/// Photos of one's own, ready to be trained on.
fn workspace() -> Workspace {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    let own = draw(&workspace.path("own"), 40, |colour| format!("my {colour} garden under a white moon"));
    draw(&workspace.path("others"), 0, |colour| format!("a {colour} field under a white moon"));
    let config = workspace.path("config.toml");
    let dataset = format!(
        "[dataset]\nlayout = \"table\"\nroot = \"{}\"\nval_fraction = 0.25\ntest_fraction = 0.0\n",
        own.display()
    );
    fs::write(&config, fs::read_to_string(&config).unwrap() + &dataset).unwrap();
    prepare(&workspace, &[]);
    workspace
}

/// The checkpoint that others have trained.
fn others(workspace: &Workspace, seed: usize) -> PathBuf {
    let overrides = of_others(workspace, seed);
    let overrides = overrides.each_ref().map(String::as_str);
    prepare(workspace, &overrides);
    let mut outcomes = workspace.run::<Train>(&overrides).unwrap();
    outcomes.remove(0).folder.join(checkpoint::FILE)
}

fn start_from(path: &Path) -> String {
    format!("train.start_from={}", path.display())
}

fn train(workspace: &Workspace, overrides: &[&str]) -> Outcome {
    workspace.run::<Train>(overrides).unwrap().remove(0)
}

/// The score of the captions after the last epoch.
fn score(outcome: &Outcome) -> f64 {
    let log = fs::read_to_string(outcome.folder.join("metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    last["validation/bleu_4"].as_f64().unwrap()
}

fn tensors(folder: &Path) -> (Vocabulary, HashMap<String, Tensor>) {
    let file = model::weights::read(&folder.join(checkpoint::FILE)).unwrap();
    let tensors = file.arrays().iter().map(|(name, array)| (name.clone(), tensor(array).unwrap()));
    (checkpoint::header_of(&file).unwrap().vocabulary, tensors.collect())
}

#[test]
fn one_epoch_from_anothers_model_is_worth_more_than_one_from_nothing() {
    let workspace = workspace();
    let source = start_from(&others(&workspace, 1));
    let anew = train(&workspace, &[]);
    let from_nothing = score(&anew);
    let warm = train(&workspace, &[&source]);
    assert!(!warm.up_to_date);
    let from_model = score(&warm);
    assert!(from_model > from_nothing + 0.2, "{from_nothing} from nothing, {from_model} from a model");
    // All but `my` and `garden`.
    assert_eq!(warm.manifest.summary["words_found_again"], 8);
    assert_eq!(anew.manifest.summary.get("words_found_again"), None);
    let settings = &anew.manifest.recipe.settings;
    assert!(settings.get("start_from").is_none() && !anew.manifest.recipe.inputs.contains_key("start_from"));
}

#[test]
fn a_word_is_known_by_its_spelling_and_not_by_its_place() {
    let workspace = workspace();
    let source = others(&workspace, 1);
    // Steps so small that no caption gets better: what is published is the start itself.
    let outcome = train(&workspace, &[&start_from(&source), "train.learning_rate=1e-12"]);
    assert_eq!(outcome.manifest.summary["best_epoch"], 0);
    let (theirs, learnt) = tensors(source.parent().unwrap());
    let (own, found) = tensors(&outcome.folder);
    assert_ne!(own, theirs);
    for name in ["embedding.weight", "output.weight", "output.bias"] {
        for (id, there) in (0..).zip(own.ids_in(&theirs)) {
            let row = found[name].get(id);
            let word = own.word(id as u32);
            match there {
                Some(there) => assert_eq!(row, learnt[name].get(i64::from(there)), "{name} of {word}"),
                None => assert!(["my", "garden"].contains(&word), "{word}"),
            }
        }
    }
    let others: Vec<_> = found.iter().filter(|(_, tensor)| tensor.size()[0] != own.len() as i64).collect();
    assert!(others.len() > 10);
    assert!(others.into_iter().all(|(name, tensor)| *tensor == learnt[name]));
    assert_eq!(own.len(), SPECIAL.len() + 10);
}

#[test]
fn another_file_trains_again_and_another_path_does_not() {
    let workspace = workspace();
    let [first, second] = [1, 2].map(|seed| others(&workspace, seed));
    let up_to_date = |path: &Path, more: &[&str]| {
        train(&workspace, &[&[start_from(path).as_str()], more].concat()).up_to_date
    };
    assert!(!up_to_date(&first, &[]));
    assert!(up_to_date(&first, &[]));
    let copy = workspace.path("copy.safetensors");
    fs::copy(&first, &copy).unwrap();
    assert!(up_to_date(&copy, &[]));
    assert!(!up_to_date(&second, &[]));

    // Of a training whose first phase is done, self-critical settings run the second alone; another start runs both.
    let epochs = |path: &Path, rate: &str| {
        let rate = format!("train.self_critical.learning_rate={rate}");
        let overrides = [&start_from(path), rate.as_str(), "train.self_critical.epochs=1"];
        train(&workspace, &overrides).manifest.summary["epochs"].as_u64().unwrap()
    };
    assert_eq!(epochs(&second, "1e-5"), 1, "the cross-entropy phase of the last run");
    assert_eq!(epochs(&second, "2e-5"), 1);
    assert_eq!(epochs(&copy, "2e-5"), 2);
}

#[test]
fn what_does_not_fit_is_refused_before_the_work_by_the_name_of_the_setting() {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    let source = workspace.random_model("model.safetensors", 1);
    let refused = |overrides: &[&str]| {
        let context = workspace.context(&[&[start_from(&source).as_str()], overrides].concat()).unwrap();
        let said = message(context.checked::<Train>());
        assert!(said.contains("`train.start_from`: ") && said.contains("model.safetensors"), "{said}");
        said
    };
    let kind = refused(&["train.decoders=[\"lstm\"]"]);
    assert!(kind.ends_with("holds no lstm, only soft_attention"), "{kind}");
    let sizes = ["embedding_size=16", "feature_size=16", "hidden_size=16", "attention_size=8"];
    let sizes = sizes.map(|size| format!("train.soft_attention.{size}"));
    let refused_with = |more: &str| refused(&[&sizes.each_ref().map(String::as_str)[..], &[more]].concat());
    let size = refused_with("train.soft_attention.hidden_size=48");
    assert!(size.contains("its soft_attention has hidden_size = 16, not 48"), "{size}");
    let channels = refused_with("preprocess.backbone=efficientnet_lite0");
    assert!(
        channels.contains("reads 512 channels of resnet18, not 1280 channels of efficientnet_lite0.squash"),
        "{channels}"
    );
    fs::write(&source, "no tensors").unwrap();
    let damaged = refused(&[]);
    assert!(damaged.contains("is not a usable weight file"), "{damaged}");
    fs::remove_file(&source).unwrap();
    let absent = refused(&[]);
    assert!(absent.contains("No such file"), "{absent}");
}
