//! A run whose features lie in an object store, made by workers that share nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use artifacts::RunFolder;
use artifacts::features::{FeatureRow, FeatureSet};
use artifacts::images::ImageRow;
use dataset::Dataset;
use half::f16;
use image::{Rgb, RgbImage};
use needs::S3;
use pipeline_tests::{Workspace, program};
use preprocess::Preprocess;

/// Three parts; photos in two tar shards.
const CONFIG: &str = r#"
[dataset]
layout = "webdataset"
root = "ROOT"
val_fraction = 0.3
test_fraction = 0.0

[preprocess]
backbone = "resnet18"
part_images = 6
workers = 1

[text]
min_count = 1

[train]
decoders = ["lstm"]
epochs = 1
batch_images = 4

[train.lstm]
embedding_size = 4
feature_size = 4
hidden_size = 4

[evaluate]
resamples = 10
"#;
const SET: &str = "resnet18";

fn photo(number: u32) -> Vec<u8> {
    let colors = |x: u32, y: u32| Rgb([(x * 7 + number * 13) as u8, (y * 5) as u8, (number * 31) as u8]);
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_fn(40, 32, colors).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Two shards of eight photos each.
fn shards(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for shard in 0..2_u32 {
        let mut tar = tar::Builder::new(fs::File::create(folder.join(format!("{shard:05}.tar"))).unwrap());
        for number in shard * 8..shard * 8 + 8 {
            let caption = format!("a dog number {}", ["one", "two", "three"][number as usize % 3]);
            for (ending, content) in [("png", photo(number)), ("txt", caption.into_bytes())] {
                let mut header = tar::Header::new_ustar();
                header.set_size(content.len() as u64);
                header.set_mode(0o644);
                tar.append_data(&mut header, format!("{number:05}.{ending}"), content.as_slice()).unwrap();
            }
        }
        tar.finish().unwrap();
    }
}

/// A stage's program on a machine of its own: another run folder, the same store.
fn stage(server: &S3, workspace: &Workspace, machine: &str, name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program(name));
    command.args(arguments).arg("--config").arg(workspace.path("config.toml"));
    command.arg("--set").arg(format!("run.folder={}", workspace.path(machine).display()));
    command.args([
        "--set",
        "run.store=s3://bucket/runs",
        "--set",
        "dataset.root=s3://bucket/set",
        "--device",
        "cpu",
    ]);
    let output = server.environment(&mut command).output().unwrap();
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Numbers and identities of every row.
fn rows(set: &FeatureSet) -> BTreeMap<String, (String, Vec<f16>, Vec<f16>)> {
    let row = |FeatureRow { key, pooled, grid }| (key.image_id, (key.content_hash, pooled, grid));
    set.rows().map(|found| row(found.unwrap())).collect()
}

#[test]
fn workers_that_share_a_store_make_what_one_machine_makes() {
    let workspace = Workspace::new(CONFIG).with_weights(SET);
    shards(&workspace.path("raw"));
    let root = format!("dataset.root={}", workspace.path("raw").display());
    let local = [root.as_str()];
    workspace.run::<Dataset>(&local).unwrap();
    workspace.run::<Preprocess>(&local).unwrap();
    let wanted = rows(&FeatureSet::open(&workspace.run_folder().features(SET)).unwrap());
    assert_eq!(wanted.len(), 16);

    let Some(mut server) = S3::start(&workspace.path("raw")) else { return };
    let said = |output: Output| String::from_utf8(output.stderr).unwrap();
    let run =
        |server: &S3, machine, name, arguments: &[&str]| stage(server, &workspace, machine, name, arguments);
    run(&server, "first", "dataset", &[]);
    // Two workers: one that has the tables, and one that has nothing at all.
    assert!(
        said(run(&server, "second", "preprocess", &["--shard", "1/2"]))
            .contains("those of others are not yet")
    );
    assert!(said(run(&server, "first", "preprocess", &["--part", "0"])).contains("making s3://bucket/runs"));
    let parts = run(&server, "third", "preprocess", &["parts", "--json"]).stdout;
    let parts: serde_json::Value = serde_json::from_slice(&parts).unwrap();
    assert_eq!((&parts["parts"], &parts["complete"]), (&3.into(), &serde_json::json!([0, 1])));
    run(&server, "first", "preprocess", &["--shard", "0/2"]);
    assert!(said(run(&server, "second", "preprocess", &[])).contains("is up to date"));

    // What was sent is what one machine makes, also where it is read by range; nothing of it stays with the workers.
    let downloaded = workspace.path("downloaded");
    server.download("runs/test", &downloaded);
    let set = FeatureSet::open(&RunFolder::new(&downloaded).features(SET)).unwrap();
    assert!(rows(&set) == wanted, "other numbers");
    for machine in ["first", "second"] {
        let left = fs::read_dir(workspace.path(machine).join("test/features").join(SET));
        assert!(left.into_iter().flatten().next().is_none(), "parts stay on {machine}");
    }
    let tables = |folder: &Path| -> Vec<ImageRow> {
        artifacts::images::Images::open(&folder.join("dataset")).unwrap().parts.all().unwrap()
    };
    assert_eq!(tables(&workspace.path("second/test")), tables(&downloaded));
    for (name, arguments) in [("text", [].as_slice()), ("train", &[]), ("evaluate", &[])] {
        run(&server, "first", name, arguments);
    }
    assert!(workspace.path("first/test/evaluate/resnet18-lstm/val/report.html").is_file());
}
