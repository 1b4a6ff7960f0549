//! The same photos from files, archives, tables and a store give the same features, bit for bit.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use artifacts::Manifest;
use artifacts::features::FeaturePart;
use image::{Rgb, RgbImage};
use needs::S3;
use parquet::arrow::ArrowWriter;
use pipeline_tests::{Workspace, program};

const PHOTOS: u32 = 7;

fn name(number: u32) -> String {
    format!("{number:03}")
}

/// The photos as files with a table, as two archives, and as a table that holds them.
fn workspace() -> Workspace {
    let workspace = Workspace::new("").with_weights("resnet18");
    for folder in ["files", "tar", "parquet"] {
        fs::create_dir(workspace.path(folder)).unwrap();
    }
    let (mut csv, mut photos) = ("image,caption,split\n".to_owned(), Vec::new());
    for number in 0..PHOTOS {
        let photo =
            RgbImage::from_fn(90 + number, 70, |x, y| Rgb([x as u8 * 2, y as u8 * 3, number as u8 * 30]));
        let path = workspace.path(&format!("files/{}.png", name(number)));
        photo.save(&path).unwrap();
        photos.push(fs::read(path).unwrap());
        csv += &format!("{0}.png,photo {0},{1}\n", name(number), split(number));
    }
    fs::write(workspace.path("files/captions.csv"), csv).unwrap();
    for of in ["train", "val"] {
        let mut archive =
            tar::Builder::new(fs::File::create(workspace.path(&format!("tar/{of}-0.tar"))).unwrap());
        for number in (0..PHOTOS).filter(|&number| split(number) == of) {
            let text = format!("photo {}", name(number));
            for (ending, bytes) in [("png", photos[number as usize].as_slice()), ("txt", text.as_bytes())] {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, format!("{}.{ending}", name(number)), bytes).unwrap();
            }
        }
        archive.finish().unwrap();
    }
    let text = |of: &dyn Fn(u32) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..PHOTOS).map(of)))
    };
    let image: ArrayRef = Arc::new(BinaryArray::from_iter_values(&photos));
    let columns = [
        ("image", image),
        ("caption", text(&|number| format!("photo {}", name(number)))),
        ("split", text(&|number| split(number).to_owned())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = fs::File::create(workspace.path("parquet/all.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    workspace
}

fn split(number: u32) -> &'static str {
    if number < 5 { "train" } else { "val" }
}

/// Hash, pooled vector and grid of every image, in bits.
type Features = BTreeMap<String, (Vec<u16>, Vec<u16>)>;

/// Runs both stages as people do, and gives the features by the hashes of the photos.
fn features(workspace: &Workspace, layout: &str, root: &str, server: Option<&S3>) -> Features {
    for stage in ["dataset", "preprocess"] {
        let mut command = Command::new(program(stage));
        command.arg("--config").arg(workspace.path("config.toml")).args(["--device", "cpu", "--quiet"]);
        for setting in [
            format!("dataset.layout=\"{layout}\""),
            format!("dataset.root=\"{root}\""),
            "preprocess.backbone=\"resnet18\"".to_owned(),
            "preprocess.part_images=4".to_owned(),
        ] {
            command.arg("--set").arg(setting);
        }
        if let Some(server) = server {
            server.environment(&mut command);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{stage} of {root}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let folder = workspace.run_folder().features("resnet18");
    let mut features = Features::new();
    for output in Manifest::read(&folder).unwrap().outputs {
        let part = FeaturePart::open(&folder.join(&output.file)).unwrap();
        for (row, key) in part.keys.iter().enumerate() {
            let mut grid = Vec::new();
            part.grid(row, &mut grid).unwrap();
            let bits = |values: &[half::f16]| values.iter().map(|value| value.to_bits()).collect();
            features.insert(key.content_hash.clone(), (bits(&part.pooled(row).unwrap()), bits(&grid)));
        }
    }
    // Nothing of this is kept for the next.
    fs::remove_dir_all(workspace.path("runs")).unwrap();
    features
}

#[test]
fn photos_have_the_same_features_wherever_they_lie() {
    let workspace = workspace();
    let at = |folder: &str| workspace.path(folder).display().to_string();
    let from_files = features(&workspace, "table", &at("files/captions.csv"), None);
    assert_eq!(from_files.len(), PHOTOS as usize);
    assert!(features(&workspace, "webdataset", &at("tar"), None) == from_files, "archives");
    assert!(features(&workspace, "parquet", &at("parquet"), None) == from_files, "a table");
    let Some(server) = S3::start(&workspace.path("tar")) else { return };
    assert!(features(&workspace, "webdataset", "s3://bucket/set", Some(&server)) == from_files, "a store");
}
