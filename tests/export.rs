//! An exported ensemble captions anywhere what `evaluate` captioned, and says of itself what is true.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use artifacts::results::{self, CaptionResult};
use artifacts::{Split, show};
use caption::{Captioner, Options, Photo};
use model::weights;
use pipeline_tests::{Workspace, program};
use serde_json::Value;
use train::Train;

use crate::captions::{trained, trained_in, workspace};

const ENSEMBLE: &str = "resnet18-transformer+soft_attention";
const OVERRIDES: [&str; 3] = [
    "train.decoders=[\"soft_attention\", \"transformer\"]",
    "evaluate.ensemble=[\"transformer\", \"soft_attention\"]",
    "evaluate.search={ beam_size = 4, max_length = 7, no_repeat_ngram = 2 }",
];

pub(crate) fn export(workspace: &Workspace, args: &[&str]) -> Output {
    let run = workspace.run_folder();
    let mut command = Command::new(program("export"));
    command.arg(run.path()).arg("--weights").arg(workspace.path("weights")).args(args);
    command.output().unwrap()
}

pub(crate) fn exported(workspace: &Workspace, args: &[&str]) -> String {
    let output = export(workspace, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn refused(workspace: &Workspace, args: &[&str]) -> String {
    let output = export(workspace, args);
    assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The validation images' files with the captions that `evaluate` wrote by a model, by path.
pub(crate) fn written(workspace: &Workspace, model: &str) -> BTreeMap<PathBuf, String> {
    let folder = workspace.run_folder();
    let file = folder.evaluate(model, Split::Val).join(results::FILE);
    let captions: Vec<CaptionResult> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let captions: BTreeMap<String, String> =
        captions.into_iter().map(|result| (result.image_id, result.caption)).collect();
    let (root, images) = workspace.images();
    let val = images.iter().filter(|row| row.split == Split::Val);
    val.map(|row| (root.join(&row.path), captions[&row.image_id].clone())).collect()
}

/// The captioner in an export, without any weights beside it.
fn opened(path: &Path) -> Captioner {
    let options = Options { weights: path.join("nothing") };
    Captioner::open(path, &options).unwrap()
}

pub(crate) fn photos(captioner: &Captioner, files: &BTreeMap<PathBuf, String>) -> Vec<Photo> {
    files.keys().map(|path| captioner.photo(&fs::read(path).unwrap()).unwrap()).collect()
}

/// A server that ends with its test.
pub(crate) struct Server {
    child: Child,
    http: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(folder: &Path, model: &Path) -> Server {
        let mut child = Command::new(program("serve"))
            .args(["--port", "0", "--grpc-port", "0", "--model"])
            .arg(model)
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.by_ref().find_map(|line| {
            let event: Value = serde_json::from_str(&line).ok()?;
            Some(format!("http://{}", event.get("http")?.as_str()?))
        });
        // Whoever logs into a closed pipe fails.
        std::thread::spawn(move || lines.for_each(drop));
        let mut server = Server { child, http: String::new() };
        server.http = address.expect("it did not start");
        server
    }

    fn caption(&self, photo: &[u8]) -> String {
        self.answer(photo, "attention=false")["caption"].as_str().unwrap().to_owned()
    }

    /// All that is said of a photo, asked with a query.
    pub(crate) fn answer(&self, photo: &[u8], query: &str) -> Value {
        let mut answer = ureq::post(format!("{}/caption?{query}", self.http)).send(photo).unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }
}

#[test]
fn an_exported_ensemble_writes_what_evaluate_wrote_from_a_folder_without_weights() {
    let workspace = trained(&OVERRIDES);
    let wanted = written(&workspace, ENSEMBLE);
    assert_eq!(wanted.len(), 12);
    let said = exported(&workspace, &[]);
    let path = workspace.run_folder().exports().join(format!("{ENSEMBLE}.safetensors"));
    assert_eq!(said.trim(), path.display().to_string());
    let first = fs::read(&path).unwrap();
    exported(&workspace, &[]);
    assert!(first == fs::read(&path).unwrap(), "the same run gave another file");

    let elsewhere = tempfile::tempdir().unwrap();
    let model = elsewhere.path().join("model.safetensors");
    fs::copy(&path, &model).unwrap();
    let captioner = opened(&model);
    let search = captioner.search_settings();
    assert_eq!((search.beam_size, search.max_length, search.no_repeat_ngram), (4, 7, 2));
    let captioned = captioner.caption(&photos(&captioner, &wanted), search).unwrap();
    let captions: Vec<&str> = captioned.iter().map(|photo| photo.best().caption.as_str()).collect();
    assert!(captions.iter().eq(wanted.values()), "{captions:?}");

    let mut command = Command::new(program("caption"));
    command.args(wanted.keys()).arg("--model").arg(&model).current_dir(elsewhere.path());
    let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let printed: Vec<&str> = printed.lines().map(|line| line.split_once('\t').unwrap().1).collect();
    assert!(printed.iter().eq(wanted.values()), "{printed:?}");

    let server = Server::start(elsewhere.path(), &model);
    for (path, caption) in &wanted {
        assert_eq!(server.caption(&fs::read(path).unwrap()), *caption, "{}", path.display());
    }
}

#[test]
fn tuned_weights_and_the_words_they_were_tuned_for_go_with_the_export() {
    let workspace = workspace();
    workspace.tune("resnet18", 2);
    let workspace = trained_in(workspace, &["preprocess.weights=tuned"]);
    let wanted = written(&workspace, "resnet18.tuned-soft_attention");
    let path = PathBuf::from(exported(&workspace, &[]).trim());
    fs::remove_dir_all(workspace.run_folder().tune("resnet18")).unwrap();
    assert!(refused(&workspace, &[]).contains("run the tune stage"));

    let captioner = opened(&path);
    let captions = captioner.caption(&photos(&captioner, &wanted), captioner.search_settings()).unwrap();
    assert!(captions.iter().map(|photo| &photo.best().caption).eq(wanted.values()));
    let file = weights::read(&path).unwrap();
    assert!(file.get("backbones.resnet18.words.weight", &[2, 512]).is_ok());
    let header: Value = serde_json::from_str(&file.metadata()["captioning.captioner"]).unwrap();
    assert_eq!(header["features"][0]["weights"], "tuned");
    assert_eq!(header["tuned"]["resnet18"]["words"], serde_json::json!(["dog", "tree"]));
}

#[test]
fn halves_take_half_the_bytes_and_find_captions_as_probable() {
    let workspace = trained(&[]);
    let wanted = written(&workspace, "resnet18-soft_attention");
    let whole = PathBuf::from(exported(&workspace, &[]).trim());
    let half = workspace.path("half.safetensors");
    exported(&workspace, &["--half", "--output", half.to_str().unwrap()]);
    let bytes = [&whole, &half].map(|path| fs::metadata(path).unwrap().len());
    assert!(bytes[1] * 100 < bytes[0] * 51, "{bytes:?}");
    assert!(show::describe(&half).unwrap()["tensors_of_type"].get("F32").is_none());

    let words = |caption: &String| caption.split(' ').map(str::to_owned).collect();
    let captions: Vec<Vec<String>> = wanted.values().map(words).collect();
    let [whole, half] = [&whole, &half].map(|path| {
        let captioner = opened(path);
        let features = captioner.features(&photos(&captioner, &wanted)).unwrap();
        let captioned = captioner.search(&features, captioner.search_settings()).unwrap();
        assert!(captioned.iter().all(|photo| !photo.best().caption.is_empty()));
        captioner.log_likelihoods(&features, &captions).unwrap()
    });
    for (whole, half) in whole.iter().flatten().zip(half.iter().flatten()) {
        assert!((whole - half).abs() < 0.01 * whole.abs(), "{whole} {half}");
    }
}

#[test]
fn each_decoder_of_an_exported_ensemble_can_be_gone_on_from() {
    let workspace = trained(&OVERRIDES);
    let source = format!("train.start_from={}", exported(&workspace, &[]).trim());
    let outcomes = workspace.run::<Train>(&[&OVERRIDES[..], &[&source, "train.epochs=1"]].concat()).unwrap();
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        assert!(!outcome.up_to_date);
        assert!(outcome.manifest.summary["words_found_again"].as_u64() > Some(10));
    }
}

#[test]
fn an_export_says_what_it_holds_and_a_hub_can_read_its_card() {
    let workspace = trained(&OVERRIDES);
    let hub = workspace.path("hub");
    exported(&workspace, &["--hub", hub.to_str().unwrap()]);
    let shown = show::describe(&hub.join("model.safetensors")).unwrap();
    assert!(shown["kind"].as_str().unwrap().starts_with("captioner"), "{}", shown["kind"]);
    let header = &shown["header"]["captioning.captioner"];
    assert_eq!(header["decoders"][0]["name"], "resnet18-transformer");
    assert_eq!(header["features"][0]["backbone"], "resnet18");

    let config: Value = serde_json::from_slice(&fs::read(hub.join("config.json")).unwrap()).unwrap();
    assert_eq!(
        (&config["search"]["beam_size"], &config["decoders"][1]["decoder"]["kind"]),
        (&4.into(), &"soft_attention".into())
    );
    let scores = workspace.run_folder().evaluate(ENSEMBLE, Split::Val).join("scores.json");
    let scores: Value = serde_json::from_slice(&fs::read(scores).unwrap()).unwrap();
    let card = fs::read_to_string(hub.join("README.md")).unwrap();
    let (front, body) = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    let front: Value = serde_saphyr::from_str(front).unwrap();
    assert_eq!((&front["license"], &front["pipeline_tag"]), (&"apache-2.0".into(), &"image-to-text".into()));
    let result = &front["model-index"][0]["results"][0];
    assert_eq!(
        (&result["dataset"]["type"], &result["dataset"]["split"]),
        (&"drawn-scenes".into(), &"val".into())
    );
    let metrics = result["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), scores["scores"].as_object().unwrap().len());
    for metric in metrics {
        let key = metric["type"].as_str().unwrap();
        let close =
            |found: &Value, wanted: &Value| (found.as_f64().unwrap() - wanted.as_f64().unwrap()).abs() < 1e-4;
        assert!(close(&metric["value"], &scores["scores"][key]), "{key}");
        let interval = metric["args"]["interval_95"].as_array().unwrap();
        assert!(
            close(&interval[0], &scores["intervals"][key][0])
                && close(&interval[1], &scores["intervals"][key][1]),
            "{key}"
        );
    }
    assert!(body.contains("just serve --model model.safetensors") && body.contains("| CIDEr-D |"), "{body}");
    assert!(!body.contains("half precision"), "{body}");
    // An older export gives way, anything else does not.
    exported(&workspace, &["--hub", hub.to_str().unwrap(), "--model", "resnet18-transformer", "--half"]);
    assert!(fs::read_to_string(hub.join("README.md")).unwrap().contains("numbers in half precision"));
    fs::remove_file(hub.join("model.safetensors")).unwrap();
    assert!(
        refused(&workspace, &["--hub", hub.to_str().unwrap()]).contains("holds other files and no export")
    );
}

#[test]
fn a_run_and_its_export_give_the_same_onnx_files() {
    let workspace = trained(&OVERRIDES);
    let [of_run, of_file] = ["of-run", "of-file"].map(|name| workspace.path(name));
    let said = exported(&workspace, &["--onnx", of_run.to_str().unwrap()]);
    let file = said.lines().next().unwrap();
    assert_eq!(said.lines().nth(1), of_run.to_str());
    let output = Command::new(program("export")).arg(file).arg("--onnx").arg(&of_file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in
        ["encoder.onnx", "decoder.onnx", "vocabulary.json", "settings.json", "README.md", "index.html"]
    {
        let [run, file] = [&of_run, &of_file].map(|folder| fs::read(folder.join(name)).unwrap());
        assert!(run == file, "{name}");
    }
}

#[test]
fn what_was_not_evaluated_is_not_exported() {
    let workspace = trained(&OVERRIDES);
    let unknown = refused(&workspace, &["--model", "resnet18-lstm"]);
    assert!(unknown.contains("--model resnet18-lstm: there are") && unknown.contains(ENSEMBLE), "{unknown}");
    assert!(refused(&workspace, &["--split", "test"]).contains("no model with scores on test"));
    let photo = workspace.path("photo.jpg");
    fs::write(&photo, "a photo").unwrap();
    let taken = refused(&workspace, &["--output", photo.to_str().unwrap()]);
    assert!(taken.contains("photo.jpg is there and is no export"), "{taken}");
    assert_eq!(fs::read(&photo).unwrap(), b"a photo");

    let [one, other] = ["transformer", "soft_attention"]
        .map(|decoder| workspace.run_folder().train(format!("resnet18-{decoder}")).join("model.safetensors"));
    fs::copy(&one, &other).unwrap();
    assert!(refused(&workspace, &[]).contains("is not the checkpoint whose captions were scored"));
    let said = exported(&workspace, &["--model", "resnet18-transformer"]);
    assert!(said.contains("resnet18-transformer.safetensors"), "{said}");
    fs::write(workspace.path("weights/resnet18.safetensors"), "other weights").unwrap();
    let weights = refused(&workspace, &["--model", "resnet18-transformer"]);
    assert!(weights.contains("was trained on features of"), "{weights}");
}
