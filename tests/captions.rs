//! A captioner sees what extraction saw, and writes what evaluation wrote.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use artifacts::per_image::{self, PerImage};
use artifacts::results::{self, CaptionResult};
use artifacts::{Split, images::Images};
use caption::{CaptionError, Captioned, Captioner, Options, Photo, SearchSettings};
use dataset::Dataset;
use evaluate::Evaluate;
use half::f16;
use model::grids::GridStore;
use pipeline_tests::Workspace;
use preprocess::Preprocess;
use text::Text;
use train::Train;

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 24
val_fraction = 0.5
test_fraction = 0.0

[preprocess]
backbone = "resnet18"

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

pub(crate) fn trained(overrides: &[&str]) -> Workspace {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18").with_weights("efficientnet_b1");
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
    let options = Options { weights: workspace.path("weights"), ..Default::default() };
    Captioner::open(&model(workspace, name), &options).unwrap()
}

/// The validation photos by image id, as a user has them: files.
fn photos(workspace: &Workspace, captioner: &Captioner) -> Vec<(String, Photo)> {
    let images = Images::read(&workspace.run_folder().dataset()).unwrap();
    let rows = images.rows.iter().filter(|row| row.split == Split::Val);
    let photo = |path: &str| captioner.photo(&fs::read(images.root.join(path)).unwrap()).unwrap();
    rows.map(|row| (row.image_id.clone(), photo(&row.path))).collect()
}

/// The guard against a skew between training and inference.
fn is_what_the_stages_made(workspace: &Workspace, sets: &[&str], decoder: &str, bit_for_bit: bool) {
    let name = format!("{}-{decoder}", sets.join("+"));
    let folder = workspace.run_folder();
    let captioner = open(workspace, &name);
    let (ids, photos): (Vec<String>, Vec<Photo>) = photos(workspace, &captioner).into_iter().unzip();
    assert_eq!(ids.len(), 12);

    let features = captioner.features(&photos).unwrap();
    let folders: Vec<_> = sets.iter().map(|set| (folder.features(set), *set)).collect();
    let cache = GridStore::open(&folders, Split::Val, 0).unwrap();
    for (id, features) in ids.iter().zip(&features) {
        let row = cache.image_ids().iter().position(|cached| cached == id).unwrap();
        let cached = cache.read(&[row]).unwrap();
        let differ = |(a, b): &(&f16, &f16)| a != b;
        let pairs = || features.grid().iter().zip(&cached).filter(differ);
        assert_eq!(features.grid().len(), cached.len());
        // Nowhere more than rounding, and not even that for some networks.
        let largest = cached.iter().map(|value| value.to_f32().abs()).fold(0.0, f32::max);
        assert!(pairs().all(|(a, b)| (a.to_f32() - b.to_f32()).abs() < largest / 500.0), "{id}");
        assert!(
            pairs().count() <= if bit_for_bit { 0 } else { cached.len() / 10 },
            "{id}: {}",
            pairs().count()
        );
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
    is_what_the_stages_made(&workspace, &["resnet18"], "soft_attention", true);
}

#[test]
fn views_decoders_and_backbones_with_other_grids_come_from_the_checkpoint() {
    let workspace = trained(&[
        "preprocess.backbone=[\"resnet18\", \"efficientnet_b1\"]",
        "preprocess.views=[\"flip\"]",
        "train.decoders=[\"transformer\"]",
    ]);
    is_what_the_stages_made(&workspace, &["resnet18.flip", "efficientnet_b1.flip"], "transformer", false);
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
        let options = Options { weights, ..Default::default() };
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
fn the_newest_finished_model_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let message = caption::newest_model(folder.path()).unwrap_err().to_string();
    assert!(message.contains("holds no trained model: run `just pipeline`"), "{message}");
    let train = |run: &str, name: &str, finished: bool| {
        let folder = folder.path().join(run).join("train").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("model.safetensors"), "").unwrap();
        if finished {
            fs::write(folder.join("manifest.json"), "").unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        folder.join("model.safetensors")
    };
    train("b", "first", true);
    let last = train("a", "second", true);
    train("c", "running", false);
    assert_eq!(caption::newest_model(folder.path()).unwrap(), last);
}
