//! Tuned weights from the images and their words to an export, and out of it again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use artifacts::layout::TUNED_WEIGHTS;
use artifacts::{Manifest, Split};
use dataset::Dataset;
use evaluate::Evaluate;
use model::backbone::BackboneSpec;
use model::tuned::{BIAS, TunedHeader, WEIGHT};
use model::weights::{self, NamedArrays};
use pipeline_tests::{Workspace, program};
use preprocess::Preprocess;
use stage::Stage as _;
use text::Text;
use train::Train;
use tune::Tune;

use crate::export::Server;

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 16
val_fraction = 0.5
test_fraction = 0.0

[preprocess]
backbone = "resnet18"
weights = "tuned"

[text]
min_count = 1

[tune]
from_block = 7
words = 20
epochs = 1
batch_images = 4

[train]
decoders = ["soft_attention"]
epochs = 1
batch_images = 6
soft_attention = { embedding_size = 16, feature_size = 16, hidden_size = 16, attention_size = 8 }

[evaluate]
attention_images = 0
search = { max_length = 8 }
"#;

fn tuned(workspace: &Workspace) -> NamedArrays {
    weights::read(&workspace.run_folder().tune("resnet18").join(TUNED_WEIGHTS)).unwrap()
}

fn message<T>(result: anyhow::Result<T>) -> String {
    format!("{:#}", result.err().unwrap())
}

fn exported(workspace: &Workspace, to: &Path) {
    let run = workspace.run_folder();
    let weights = workspace.path("nothing");
    let mut command = Command::new(program("export"));
    command.arg(run.path()).arg("--weights").arg(weights).arg("--output").arg(to);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_was_tuned_goes_through_an_export_into_another_run() {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    for run in [Workspace::run::<Dataset>, Workspace::run::<Text>, Workspace::run::<Tune>] {
        run(&workspace, &[]).unwrap();
    }
    assert!(workspace.run::<Tune>(&[]).unwrap()[0].up_to_date);
    // The same lesson in a table of its own is the same, and another network's changes nothing.
    let own = ["tune.epochs=9", "tune.for.resnet18.epochs=1", "tune.for.resnet34.from_block=2"];
    assert!(workspace.run::<Tune>(&own).unwrap()[0].up_to_date);

    // Published names, and of the tensors only those of the last block changed that learn.
    let published = weights::read(&workspace.path("weights/resnet18.safetensors")).unwrap();
    let spec = BackboneSpec::named("resnet18").unwrap();
    let file = tuned(&workspace);
    let names: BTreeSet<String> = file.arrays().keys().cloned().collect();
    let network = spec.tensors(&published).into_iter().map(|(name, _)| name);
    assert_eq!(names, network.chain([WEIGHT, BIAS].map(str::to_owned)).collect());
    for (name, array) in file.arrays() {
        let Some(before) = published.arrays().get(name) else { continue };
        let learns = name.starts_with("layer4.1") && !name.contains("running");
        assert_eq!(before == array, !learns, "{name}");
    }
    let header = TunedHeader::of(&file).unwrap().unwrap();
    assert_eq!((header.words.len(), header.scores.images), (20, 8));
    assert!(header.calibration.probability(0.0).is_finite() && header.provenance["stage"] == "tune");
    let manifest = Manifest::read(&workspace.run_folder().tune("resnet18")).unwrap();
    assert_eq!(manifest.summary["steps"], 2);
    assert!(manifest.outputs.iter().any(|output| output.file == "metrics.jsonl"));

    for run in [Workspace::run::<Preprocess>, Workspace::run::<Train>, Workspace::run::<Evaluate>] {
        run(&workspace, &[]).unwrap();
    }
    let export = workspace.path("model.safetensors");
    exported(&workspace, &export);

    // A guest in the evaluation looks at the images themselves and says what the evaluated model says of their features.
    workspace.run::<Evaluate>(&[&format!("evaluate.guest={}", export.display())]).unwrap();
    let said = |system: &str| {
        fs::read_to_string(workspace.run_folder().evaluate(system, Split::Val).join("captions.json")).unwrap()
    };
    assert_eq!(said("guest-model"), said("resnet18.tuned-soft_attention"));
    let report =
        workspace.run_folder().evaluate("resnet18.tuned-soft_attention", Split::Val).join("report.html");
    assert!(fs::read_to_string(report).unwrap().contains(r#""guest":"guest-model""#));

    // The export names what is in a photo, as the checkpoint does where its run has the tuned weights.
    let photo = workspace.path("photo.png");
    image::RgbImage::from_fn(60, 50, |x, y| image::Rgb([x as u8 * 4, y as u8 * 5, 90])).save(&photo).unwrap();
    let checkpoint = workspace.run_folder().train("resnet18.tuned-soft_attention").join("model.safetensors");
    let keywords = |model: &Path, format: &str| {
        let mut caption = Command::new(program("caption"));
        caption.arg(&photo).arg("--model").arg(model).args([
            "--quiet",
            "--keywords",
            "3",
            "--format",
            format,
        ]);
        let output = caption.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&keywords(&export, "jsonl")).unwrap();
    let named = json["keywords"].as_array().unwrap();
    let probability = |keyword: &serde_json::Value| keyword["probability"].as_f64().unwrap();
    assert!(named.len() == 3 && named.is_sorted_by(|a, b| probability(a) >= probability(b)), "{named:?}");
    let content = |word: &str| header.content.iter().any(|&place| header.words[place] == word);
    assert!(named.iter().all(|keyword| content(keyword["word"].as_str().unwrap())), "{named:?}");
    let of_checkpoint: serde_json::Value = serde_json::from_str(&keywords(&checkpoint, "jsonl")).unwrap();
    assert_eq!(of_checkpoint["keywords"], json["keywords"]);
    let table = keywords(&export, "csv");
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let column = rows.headers().unwrap().iter().position(|name| name == "keywords").unwrap();
    let row = rows.records().next().unwrap().unwrap();
    let wanted = named
        .iter()
        .map(|keyword| format!("{}={:.3}", keyword["word"].as_str().unwrap(), probability(keyword)));
    assert_eq!(row[column], wanted.collect::<Vec<_>>().join(" "));
    let mut sidecar = Command::new(program("caption"));
    sidecar.arg(&photo).arg("--model").arg(&export);
    let status = sidecar.args(["--quiet", "--keywords", "3", "--sidecar", "xmp"]).status().unwrap();
    let sidecar = fs::read_to_string(workspace.path("photo.png.xmp")).unwrap();
    let items =
        sidecar.lines().filter_map(|line| line.trim().strip_prefix("<rdf:li>")?.strip_suffix("</rdf:li>"));
    let words = named.iter().map(|keyword| keyword["word"].as_str().unwrap());
    assert!(status.success() && items.eq(words), "{sidecar}");

    let server = Server::start(workspace.path("").as_path(), &export);
    let bytes = fs::read(&photo).unwrap();
    assert_eq!(server.answer(&bytes, "keywords=3")["keywords"], json["keywords"]);
    assert_eq!(server.answer(&bytes, "")["keywords"].as_array().unwrap()[..3], named[..]);
    assert_eq!(server.answer(&bytes, "keywords=0").get("keywords"), None);
    drop(server);

    // Another run needs no weights beside the export, and has the same eyes.
    fs::remove_dir_all(workspace.path("weights")).unwrap();
    let hash = || Manifest::read(&workspace.run_folder().features("resnet18.tuned")).unwrap().hash_of_all();
    let features = hash();
    fs::remove_dir_all(workspace.run_folder().tune("resnet18")).unwrap();
    let from = format!("tune.start_from={}", export.display());
    let unpack = [from.as_str(), "tune.epochs=0"];
    assert!(tune::fetch_weights(&workspace.context(&unpack).unwrap()).unwrap().is_empty());
    workspace.run::<Tune>(&unpack).unwrap();
    let unpacked = tuned(&workspace);
    assert!(unpacked.arrays() == file.arrays() && unpacked.metadata() == file.metadata());
    assert!(workspace.run::<Preprocess>(&unpack).unwrap()[0].up_to_date && hash() == features);

    // Tuned on, it goes on from there; words are matched by spelling.
    workspace
        .run::<Tune>(&[&from, "tune.words=5", "tune.learning_rate=1e-9", "tune.head_learning_rate=1e-9"])
        .unwrap();
    let further = tuned(&workspace);
    let rows = |file: &NamedArrays| -> BTreeMap<String, Vec<f32>> {
        let words = TunedHeader::of(file).unwrap().unwrap().words;
        let weight = file.arrays()[WEIGHT].to_f32();
        let rows = weight.chunks_exact(weight.len() / words.len()).map(<[f32]>::to_vec);
        assert_eq!(rows.len(), words.len());
        words.into_iter().zip(rows).collect()
    };
    let (before, after) = (rows(&file), rows(&further));
    assert_eq!(after.len(), 5);
    for (word, row) in after {
        assert_eq!(before[&word].len(), row.len());
        assert!(before[&word].iter().zip(row).all(|(before, after)| (before - after).abs() < 1e-6), "{word}");
    }

    // By captions, through the decoder that the export holds; one of other grids is refused before anything runs.
    let captions = [from.as_str(), "tune.objective=captions"];
    workspace.run::<Tune>(&captions).unwrap();
    let taught = tuned(&workspace);
    for (name, array) in file.arrays() {
        let learns =
            name == WEIGHT || name == BIAS || name.starts_with("layer4.1") && !name.contains("running");
        assert_eq!(&taught.arrays()[name] == array, !learns, "{name}");
    }
    let provenance = TunedHeader::of(&taught).unwrap().unwrap().provenance;
    assert_eq!(provenance["settings"]["objective"], "captions");
    let squashed =
        message(workspace.run::<Tune>(&[&captions[..], &["preprocess.views=[\"squash\"]"]].concat()));
    let said = "its decoders read resnet18.tuned, and captions tune resnet18 in the view squash";
    assert!(squashed.contains("`tune.start_from`") && squashed.contains(said), "{squashed}");
}

#[test]
fn what_cannot_be_tuned_is_refused_with_its_key() {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18").with_weights("resnet34");
    let random = workspace.random_model("trained.safetensors", 1);
    workspace.run::<Dataset>(&[]).unwrap();
    workspace.run::<Text>(&[]).unwrap();
    let caption = |keywords: &[&str]| {
        let mut caption = Command::new(program("caption"));
        caption.arg("-").arg("--model").arg(&random).arg("--weights").arg(workspace.path("weights"));
        let output = caption.args(keywords).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = caption(&["--keywords", "3", "--format", "json"]);
    assert!(code == Some(1) && said.contains("none of its backbones was tuned"), "{said}");
    let (code, said) = caption(&["--keywords", "3"]);
    assert!(code == Some(2) && said.contains("--keywords needs --format json, jsonl or csv"), "{said}");
    let untuned = format!("tune.start_from={}", workspace.path("weights/resnet18.safetensors").display());
    let checkpoint = format!("tune.start_from={}", random.display());
    let cases: [(&[&str], &str); 8] = [
        (&["tune.objective=captions"], "unless start_from names a captioner of export"),
        (&["tune.from_block=8"], "`tune.from_block`: resnet18 has the blocks 0 to 7"),
        (
            &["tune.for.resnet18.from_block=8"],
            "`tune.for.resnet18.from_block`: resnet18 has the blocks 0 to 7",
        ),
        (&["tune.epochs=0"], "start_from names what was tuned before"),
        (
            &["tune.for.resnet18.start_from=none.safetensors"],
            "`tune.for.resnet18.start_from`: none.safetensors is not there",
        ),
        (&["tune.start_from=none.safetensors"], "none.safetensors is not there"),
        (&["tune.epochs=0", &untuned], "holds no tuned resnet18: give tune.epochs at least 1"),
        (
            &[&checkpoint],
            "is a checkpoint, which holds a decoder and no backbone: name the export of its run",
        ),
    ];
    for (overrides, said) in cases {
        let message = message(workspace.run::<Tune>(overrides));
        assert!(message.contains(said), "{message}");
    }
    fs::remove_dir_all(workspace.path("weights")).unwrap();
    let absent = message(workspace.context(&[]).unwrap().checked::<Tune>());
    assert!(absent.contains("run `just weights resnet18`"), "{absent}");
    // Without a backbone to tune there is nothing to do, and nothing to fetch.
    let published = workspace.context(&["preprocess.weights=published"]).unwrap();
    assert!(Tune::run(&published.checked::<Tune>().unwrap(), &published).unwrap().is_empty());
}
