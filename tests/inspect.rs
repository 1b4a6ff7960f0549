//! What `preprocess inspect` says of a set, beside the set itself.

use std::fs;

use artifacts::features::FeaturePart;
use artifacts::{Manifest, Split};
use dataset::Dataset;
use half::f16;
use half::slice::HalfFloatSliceExt;
use pipeline_tests::{Workspace, message};
use preprocess::Preprocess;
use preprocess::inspect::{Request, inspect};

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 24
val_fraction = 0.25
test_fraction = 0.0

[preprocess]
backbone = "resnet18"
part_images = 10
"#;

#[test]
fn inspect_counts_what_is_there_and_finds_the_nearest_images() {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    workspace.run::<Dataset>(&[]).unwrap();
    workspace.run::<Preprocess>(&[]).unwrap();
    let folder = workspace.run_folder().features("resnet18");
    let sheet = workspace.path("sheet.png");
    let request = |like: &str| Request {
        folder: folder.clone(),
        like: Some(like.to_owned()),
        neighbours: 5,
        sheet: Some(sheet.clone()),
        json: true,
    };
    let report = inspect(&request("scene-00003")).unwrap();

    let files = Manifest::read(&folder).unwrap().outputs;
    let bytes: u64 = files.iter().map(|file| fs::metadata(folder.join(&file.file)).unwrap().len()).sum();
    assert_eq!((report.rows, report.parts, report.bytes, report.skipped), (24, 3, bytes, 0));
    assert_eq!(report.splits.into_iter().collect::<Vec<_>>(), [(Split::Train, 18), (Split::Val, 6)]);
    assert_eq!(report.columns[4].0, "grid");

    let parts = files.iter().map(|file| FeaturePart::open(&folder.join(&file.file)).unwrap());
    let (mut vectors, mut zeros) = (Vec::new(), 0);
    for part in parts {
        for (row, key) in part.keys.iter().enumerate() {
            let mut grid = Vec::new();
            part.grid(row, &mut grid).unwrap();
            zeros += grid.iter().filter(|&&value| value == f16::ZERO).count();
            vectors.push((key.image_id.clone(), part.pooled(row).unwrap().to_f32_vec()));
        }
    }
    assert!((report.zeros - zeros as f64 / (24.0 * 49.0 * 512.0)).abs() < 1e-12 && zeros > 0);
    let norm = |vector: &[f32]| vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let norms = vectors.iter().map(|(_, vector)| norm(vector));
    let (least, most) =
        norms.fold((f64::MAX, 0.0), |(least, most): (f64, f64), n| (least.min(n), most.max(n)));
    assert!((report.pooled_norms[0] - least).abs() < 1e-9 && (report.pooled_norms[1] - most).abs() < 1e-9);

    // Of vectors of length 1, a cosine is 1 − d² / 2.
    let unit = |vector: &[f32]| -> Vec<f64> {
        let norm = norm(vector);
        vector.iter().map(|&value| f64::from(value) / norm).collect()
    };
    let query = unit(&vectors[3].1);
    let mut nearest: Vec<(f64, &str)> = Vec::new();
    for (id, vector) in vectors.iter().filter(|(id, _)| id != "scene-00003") {
        let squared: f64 = unit(vector).iter().zip(&query).map(|(a, b)| (a - b).powi(2)).sum();
        nearest.push((squared, id));
    }
    nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
    let found = report.like.unwrap().neighbours;
    assert_eq!(found.len(), 5);
    for (neighbour, (squared, id)) in found.iter().zip(nearest) {
        assert_eq!(neighbour.image_id, id);
        assert!((neighbour.cosine - (1.0 - squared / 2.0)).abs() < 1e-9, "{id}");
    }
    // Six pictures in rows of four.
    let sheet = image::open(&sheet).unwrap();
    assert!(sheet.width() > 4 * 192 && sheet.height() > 2 * 192);

    let unknown = message(inspect(&request("scene-99999")));
    assert!(unknown.contains("no image \"scene-99999\"; its first is \"scene-00000\""), "{unknown}");
}
