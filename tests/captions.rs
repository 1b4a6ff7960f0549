//! A captioner sees what extraction saw, and writes what evaluation wrote.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use artifacts::features::FeatureSet;
use artifacts::per_image::{self, PerImage};
use artifacts::results::{self, CaptionResult};
use artifacts::{Manifest, Recipe, Split};
use caption::{CaptionError, Captioned, Captioner, DefaultModel, Options, Photo, SearchSettings};
use dataset::Dataset;
use evaluate::Evaluate;
use pipeline_tests::Workspace;
use preprocess::Preprocess;
use text::Text;
use torch::grids::GridStore;
use train::Train;

pub(crate) const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 24
val_fraction = 0.5
test_fraction = 0.0

[preprocess]
backbone = "resnet18"
# Captioners run on it, too.
engine = "onnx"

[text]
min_count = 1

[train]
decoders = ["soft_attention"]
epochs = 3
batch_images = 6
warmup_steps = 2
learning_rate = 0.02
soft_attention = { embedding_size = 16, feature_size = 16, hidden_size = 16, attention_size = 8 }
transformer = { model_size = 16, heads = 2, layers = 1, feed_forward_size = 32 }

[evaluate]
attention_images = 0
search = { max_length = 8 }
"#;

fn search() -> SearchSettings {
    SearchSettings { max_length: 8, ..Default::default() }
}

/// A workspace with weights.
pub(crate) fn workspace() -> Workspace {
    Workspace::new(CONFIG).with_weights("resnet18").with_weights("efficientnet_b1")
}

pub(crate) fn trained(overrides: &[&str]) -> Workspace {
    trained_in(workspace(), overrides)
}

pub(crate) fn trained_in(workspace: Workspace, overrides: &[&str]) -> Workspace {
    workspace.run::<Dataset>(overrides).unwrap();
    workspace.run::<Preprocess>(overrides).unwrap();
    workspace.run::<Text>(overrides).unwrap();
    workspace.run::<Train>(overrides).unwrap();
    workspace.run::<Evaluate>(overrides).unwrap();
    workspace
}

fn model(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.run_folder().train(name).join("model.safetensors")
}

fn open(workspace: &Workspace, name: &str) -> Captioner {
    let options = Options { weights: workspace.path("weights") };
    Captioner::open(&model(workspace, name), &options).unwrap()
}

/// The validation photos by image id, as a user has them: files.
fn photos(workspace: &Workspace, captioner: &Captioner) -> Vec<(String, Photo)> {
    let (root, images) = workspace.images();
    let rows = images.iter().filter(|row| row.split == Split::Val);
    let photo = |path: &str| captioner.photo(&fs::read(root.join(path)).unwrap()).unwrap();
    rows.map(|row| (row.image_id.clone(), photo(&row.path))).collect()
}

/// The guard against a skew between training and inference.
fn is_what_the_stages_made(workspace: &Workspace, sets: &[&str], decoder: &str) {
    let name = format!("{}-{decoder}", sets.join("+"));
    let folder = workspace.run_folder();
    let captioner = open(workspace, &name);
    let (ids, photos): (Vec<String>, Vec<Photo>) = photos(workspace, &captioner).into_iter().unzip();
    assert_eq!(ids.len(), 12);

    let features = captioner.features(&photos).unwrap();
    let sets = sets.iter().map(|set| FeatureSet::open_named(&folder.features(set), set).unwrap());
    let cache = GridStore::open(sets.collect(), Split::Val, 0).unwrap();
    for (id, features) in ids.iter().zip(&features) {
        let row = cache.index().get(id).unwrap();
        let cached = cache.read(&[row]).unwrap();
        // One engine on both sides: not even rounding differs.
        assert!(features.grid()[..] == cached[..], "{id}");
    }

    let evaluation = folder.evaluate(&name, Split::Val);
    let written: Vec<CaptionResult> =
        serde_json::from_slice(&fs::read(evaluation.join(results::FILE)).unwrap()).unwrap();
    let written: HashMap<_, _> = written.into_iter().map(|row| (row.image_id, row.caption)).collect();
    let scored = PerImage::read(&evaluation.join(per_image::FILE)).unwrap().rows;
    let scored: HashMap<_, _> = scored.into_iter().map(|row| (row.image_id, row.log_probability)).collect();
    // One at a time, or all at once: neighbours do not matter.
    let alone = photos
        .iter()
        .map(|photo| captioner.caption(std::slice::from_ref(photo), &search()).unwrap().remove(0));
    let alone: Vec<Captioned> = alone.collect();
    for captioned in [alone, captioner.caption(&photos, &search()).unwrap()] {
        for (id, captioned) in ids.iter().zip(captioned) {
            assert_eq!(captioned.best().caption, written[id], "{id}");
            assert!((captioned.best().log_probability - scored[id]).abs() < 1e-4, "{id}");
        }
    }
}

#[test]
fn a_photo_gets_the_caption_that_evaluation_gave_it() {
    let workspace = trained(&[]);
    is_what_the_stages_made(&workspace, &["resnet18"], "soft_attention");
}

#[test]
fn views_decoders_and_backbones_with_other_grids_come_from_the_checkpoint() {
    let workspace = trained(&[
        "preprocess.backbone=[\"resnet18\", \"efficientnet_b1\"]",
        "preprocess.views=[\"flip\"]",
        "train.decoders=[\"transformer\"]",
    ]);
    is_what_the_stages_made(&workspace, &["resnet18.flip", "efficientnet_b1.flip"], "transformer");
}

#[test]
fn beams_words_and_attention_fit_together() {
    let workspace = trained(&[]);
    let captioner = open(&workspace, "resnet18-soft_attention");
    let (_, photo) = photos(&workspace, &captioner).remove(0);
    let settings = SearchSettings { beam_size: 4, ..search() };
    let captioned = &captioner.caption(&[photo], &settings).unwrap()[0];
    assert_eq!((captioned.grid, captioned.captions.len()), ([7, 7], 4));
    for caption in &captioned.captions {
        let texts: Vec<&str> = caption.words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(texts.join(" "), caption.caption);
        let words: f64 = caption.words.iter().map(|word| word.log_probability).sum();
        // The rest is that of the end.
        assert!(words >= caption.log_probability && (caption.finished || words == caption.log_probability));
        for word in &caption.words {
            let shares = word.attention.as_ref().unwrap();
            assert!(shares.len() == 49 && (shares.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
    }
    assert_eq!(
        captioned.seen.region[2] - captioned.seen.region[0],
        captioned.seen.width as f32 * 224.0 / 256.0
    );
    let json = serde_json::to_value(captioned).unwrap();
    assert_eq!(json["captions"][0]["words"][0]["attention"].as_array().unwrap().len(), 49);
}

#[test]
fn one_captioner_serves_many_threads() {
    let workspace = trained(&[]);
    let captioner = open(&workspace, "resnet18-soft_attention");
    let (_, photos): (Vec<String>, Vec<Photo>) = photos(&workspace, &captioner).into_iter().unzip();
    let wanted = captioner.caption(&photos, &search()).unwrap();
    std::thread::scope(|scope| {
        let one = |photo: &Photo| captioner.caption(std::slice::from_ref(photo), &search()).unwrap();
        let threads: Vec<_> = photos.iter().map(|photo| scope.spawn(move || one(photo))).collect();
        for (thread, wanted) in threads.into_iter().zip(&wanted) {
            assert_eq!(thread.join().unwrap()[0].best().caption, wanted.best().caption);
        }
    });
    assert!(captioner.caption(&[], &search()).unwrap().is_empty());
    let nothing = SearchSettings { beam_size: 0, ..search() };
    assert!(matches!(captioner.caption(&photos, &nothing), Err(CaptionError::Search(_))));
}

#[test]
fn weights_that_are_absent_or_others_are_refused() {
    let workspace = trained(&[]);
    let model = model(&workspace, "resnet18-soft_attention");
    let weights = workspace.path("weights");
    let message = |weights: PathBuf| {
        let options = Options { weights };
        Captioner::open(&model, &options).err().unwrap().to_string()
    };
    assert!(message(workspace.path("nowhere")).contains("run `just weights resnet18`"));
    let file = weights.join("resnet18.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let other = message(weights);
    assert!(
        other.contains("resnet18.safetensors has SHA-256") && other.contains("was trained on"),
        "{other}"
    );
}

#[test]
fn tuned_weights_are_looked_for_in_the_run_of_the_checkpoint() {
    let workspace = workspace();
    workspace.tune("resnet18", 2);
    let workspace = trained_in(workspace, &["preprocess.weights=tuned"]);
    is_what_the_stages_made(&workspace, &["resnet18.tuned"], "soft_attention");
    let model = model(&workspace, "resnet18.tuned-soft_attention");
    let refused = |model: &PathBuf| {
        let options = Options { weights: workspace.path("weights") };
        Captioner::open(model, &options).err().unwrap().to_string()
    };
    let moved = workspace.path("model.safetensors");
    fs::copy(&model, &moved).unwrap();
    let alone = refused(&moved);
    assert!(
        alone.contains("tuned weights, which lie in its run") && alone.contains("just export"),
        "{alone}"
    );
    workspace.tune("resnet18", 3);
    let other = refused(&model);
    assert!(other.contains("tune/resnet18/weights.safetensors has SHA-256"), "{other}");
    fs::remove_dir_all(workspace.run_folder().tune("resnet18")).unwrap();
    let absent = refused(&model);
    assert!(
        absent.contains("weights.safetensors is not there") && absent.contains("run the tune stage"),
        "{absent}"
    );
}

#[test]
fn without_a_name_it_is_the_newest_model_that_knows_photos() {
    let folder = tempfile::tempdir().unwrap();
    let choose = || caption::default_model(folder.path()).unwrap();
    let message = caption::default_model(folder.path()).unwrap_err().to_string();
    assert!(message.contains("data/runs holds no trained model, and "), "{message}");
    assert!(message.contains("models/starter.safetensors is not there: run `just pipeline`"), "{message}");

    let made = |file: &str, hour: u64| {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(3600 * hour);
        fs::File::create(&file).unwrap().set_modified(time).unwrap();
        file
    };
    let trained = |run: &str, hour: u64| {
        made(&format!("data/runs/{run}/train/one/manifest.json"), hour);
        made(&format!("data/runs/{run}/train/one/model.safetensors"), 0)
    };
    let dataset = |run: &str, layout: &str| {
        let recipe = Recipe::new("dataset", 1, &serde_json::json!({ "layout": layout })).unwrap();
        let manifest = Manifest {
            fingerprint: recipe.fingerprint(),
            recipe,
            model: None,
            outputs: vec![],
            warnings: vec![],
            summary: Default::default(),
            seconds: 0.0,
        };
        let folder = folder.path().join("data/runs").join(run).join("dataset");
        fs::create_dir_all(&folder).unwrap();
        manifest.write(&folder).unwrap();
    };
    // Not finished, or still being made.
    made("data/runs/begun/train/one/model.safetensors", 90);
    made("data/runs/begun/train/two.unfinished/model.safetensors", 90);
    made("data/runs/begun/train/two.unfinished/manifest.json", 90);
    made("data/runs/begun/export/.writing-1.safetensors", 90);
    assert!(caption::default_model(folder.path()).is_err());

    dataset("drawn", "scenes");
    let drawn = trained("drawn", 9);
    assert_eq!(choose(), DefaultModel { path: drawn, why: "of drawn scenes: there is no other" });
    dataset("mine", "folder");
    let mine = trained("mine", 3);
    let newest = |path: &PathBuf| DefaultModel { path: path.clone(), why: "the newest of your runs" };
    assert_eq!(choose(), newest(&mine));
    let starter = made("models/starter.safetensors", 4);
    let the_starter = DefaultModel { path: starter, why: "the starter: no run of yours is newer" };
    assert_eq!(choose(), the_starter);
    fs::remove_dir_all(folder.path().join("data/runs/mine")).unwrap();
    assert_eq!(choose(), the_starter);
    // One whose dataset is not there any more may know photos.
    let other = trained("other", 5);
    assert_eq!(choose(), newest(&other));
    let exported = made("data/runs/other/export/one.safetensors", 6);
    assert_eq!(choose(), newest(&exported));
}
