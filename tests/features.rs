//! The feature cache: what is made again and what is kept, by one process or several.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use artifacts::features::{
    Dtype, FeatureKey, FeaturePart, FeatureRow, FeatureSet, WeightsOrigin, write_part,
};
use artifacts::{Manifest, Recipe};
use dataset::Dataset;
use half::f16;
use pipeline_tests::{Workspace, message};
use preprocess::Preprocess;
use preprocess::inspect::{self, Request};

const CONFIG: &str = r#"
[dataset]
layout = "scenes"
scenes = 24

[preprocess]
backbone = "resnet18"
part_images = 10
"#;

fn workspace() -> Workspace {
    let workspace = Workspace::new(CONFIG).with_weights("resnet18");
    workspace.run::<Dataset>(&[]).unwrap();
    workspace
}

/// The bytes of every part in a folder, by name.
fn parts(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let parts = files.filter(|path| path.extension().is_some_and(|end| end == "parquet"));
    parts
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect()
}

/// Every row of a folder by image.
fn rows(folder: &Path) -> BTreeMap<String, FeatureRow> {
    let mut rows = BTreeMap::new();
    for name in parts(folder).keys() {
        let part = FeaturePart::open(&folder.join(name)).unwrap();
        for (number, key) in part.keys.iter().enumerate() {
            rows.insert(key.image_id.clone(), row(&part, number, key));
        }
    }
    rows
}

fn row(part: &FeaturePart, number: usize, key: &FeatureKey) -> FeatureRow {
    let mut grid = Vec::new();
    part.grid(number, &mut grid).unwrap();
    FeatureRow { key: key.clone(), pooled: part.pooled(number).unwrap(), grid }
}

/// Replaces the features in all parts by ones that no network gives, under their names and recipes.
fn mark(folder: &Path) {
    let recipe = recipe(folder);
    for name in parts(folder).keys() {
        let path = folder.join(name);
        let part = FeaturePart::open(&path).unwrap();
        let keys = part.keys.clone();
        let rows: Vec<FeatureRow> = keys
            .iter()
            .enumerate()
            .map(|(number, key)| FeatureRow { grid: vec![f16::NEG_ONE; 49 * 512], ..row(&part, number, key) })
            .collect();
        write_part(&path, &part.spec, Dtype::F16, &rows, &[], &recipe, &keys).unwrap();
    }
}

/// The recipe of the rows: that of the stage without what concerns other images.
fn recipe(folder: &Path) -> Recipe {
    let mut recipe = Manifest::read(folder).unwrap().recipe;
    recipe.inputs.remove("dataset/images");
    recipe.settings.as_object_mut().unwrap().remove("part_images");
    recipe
}

#[test]
fn a_killed_extraction_redoes_only_what_is_missing() {
    let workspace = workspace();
    workspace.run::<Preprocess>(&[]).unwrap();
    let folder = workspace.run_folder().features("resnet18");
    let before = parts(&folder);
    assert_eq!(before.len(), 3);
    // A kill while the second part was written: no manifest, no second part, half a temporary file.
    let files: Vec<&String> = before.keys().collect();
    fs::remove_file(folder.join("_manifest.json")).unwrap();
    fs::write(folder.join(".writing-1"), &before[files[1]][..100]).unwrap();
    fs::remove_file(folder.join(files[1])).unwrap();
    let modified = |name: &str| fs::metadata(folder.join(name)).unwrap().modified().unwrap();
    let others = [files[0], files[2]].map(|name| modified(name));
    workspace.run::<Preprocess>(&[]).unwrap();
    assert!(parts(&folder) == before, "resuming gave other bytes");
    assert_eq!([files[0], files[2]].map(|name| modified(name)), others);
}

#[test]
fn a_set_that_is_up_to_date_loses_what_it_replaced_and_keeps_what_others_began() {
    let workspace = workspace();
    workspace.run::<Preprocess>(&[]).unwrap();
    let folder = workspace.run_folder().features("resnet18");
    let finished = parts(&folder);
    // A kill right after the commit: an older part is still there.
    let left = folder.join("part-left.parquet");
    fs::copy(folder.join(finished.keys().next().unwrap()), &left).unwrap();
    let manifest = fs::metadata(folder.join("_manifest.json")).unwrap().modified().unwrap();
    fs::File::options().write(true).open(&left).unwrap().set_modified(manifest).unwrap();
    // And one of two processes has done its share by other settings.
    workspace.run::<Preprocess>(&["preprocess.dtype=f32", "preprocess.shard=0/2"]).unwrap();
    let begun = parts(&folder).len() - finished.len() - 1;
    assert!(begun > 0 && left.exists());
    workspace.run::<Preprocess>(&[]).unwrap();
    assert!(!left.exists());
    assert_eq!(parts(&folder).len(), finished.len() + begun);
}

#[test]
fn added_images_extend_the_cache_and_removed_ones_drop_out() {
    let workspace = workspace();
    workspace.run::<Preprocess>(&[]).unwrap();
    let folder = workspace.run_folder().features("resnet18");
    let first = rows(&folder);
    mark(&folder);
    workspace.run::<Dataset>(&["dataset.scenes=31"]).unwrap();
    workspace.run::<Preprocess>(&["dataset.scenes=31"]).unwrap();
    let extended = rows(&folder);
    let is_marked = |row: &FeatureRow| row.grid.iter().all(|&value| value == f16::NEG_ONE);
    assert_eq!(extended.len(), 31);
    for (id, row) in &extended {
        assert_eq!(is_marked(row), first.contains_key(id), "{id} was made again, or should have been");
    }
    workspace.run::<Dataset>(&[]).unwrap();
    workspace.run::<Preprocess>(&[]).unwrap();
    assert!(rows(&folder).values().all(is_marked) && parts(&folder).len() == 3);
    // Made again from nothing, the features are those of the first time.
    workspace.run_with::<Preprocess>(&[], true).unwrap();
    assert!(rows(&folder) == first);
}

#[test]
fn an_image_has_the_same_features_whatever_its_neighbours_are() {
    let workspace = workspace();
    let folder = workspace.run_folder().features("resnet18");
    for engine in ["preprocess.engine=torch", "preprocess.engine=onnx"] {
        workspace.run::<Preprocess>(&[engine]).unwrap();
        let first = rows(&folder);
        // Other parts make other batches.
        workspace.run_with::<Preprocess>(&[engine, "preprocess.part_images=7"], true).unwrap();
        assert!(rows(&folder) == first, "{engine}");
    }
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let workspace = workspace();
    let folder = workspace.run_folder().features("resnet18");
    for engine in ["preprocess.engine=torch", "preprocess.engine=onnx"] {
        let [one, three] = ["preprocess.workers=1", "preprocess.workers=3"].map(|workers| {
            workspace.run_with::<Preprocess>(&[engine, workers], true).unwrap();
            parts(&folder)
        });
        assert!(one == three, "{engine}");
    }
}

#[test]
fn engines_differ_by_rounding_and_a_set_names_the_one_that_made_it() {
    let workspace = workspace().with_weights("efficientnet_b0");
    let made = |engine: &str, backbone: &str| {
        let overrides = [format!("preprocess.engine={engine}"), format!("preprocess.backbone={backbone}")];
        let outcomes = workspace.run::<Preprocess>(&overrides.each_ref().map(String::as_str)).unwrap();
        let folder = workspace.run_folder().features(backbone);
        let manifest = Manifest::read(&folder).unwrap();
        (rows(&folder), manifest, outcomes[0].up_to_date)
    };
    for backbone in ["resnet18", "efficientnet_b0"] {
        let (torch, by_torch, _) = made("torch", backbone);
        let (onnx, by_onnx, up_to_date) = made("onnx", backbone);
        assert!(!up_to_date, "{backbone} of another engine passed for the same");
        // Sets that were made before there was a choice are those of libtorch.
        assert_eq!(by_torch.recipe.settings.get("engine"), None);
        assert_eq!(by_onnx.recipe.settings["engine"], "onnx");
        assert_eq!(
            [&by_torch, &by_onnx].map(|made| made.summary["engine"].as_str().unwrap()),
            ["torch", "onnx"]
        );
        let (_, by_auto, up_to_date) = made("auto", backbone);
        assert!(up_to_date && by_auto.recipe == by_onnx.recipe, "auto is the faster one, on a CPU");

        let numbers = |row: &FeatureRow| -> Vec<f32> {
            row.grid.iter().chain(&row.pooled).map(|number| number.to_f32()).collect()
        };
        for (id, row) in &torch {
            let (ours, others) = (numbers(row), numbers(&onnx[id]));
            let largest = ours.iter().fold(0.0, |largest: f32, number| largest.max(number.abs()));
            let differ = |(a, b): (&f32, &f32)| (a - b).abs() > largest / 1000.0;
            assert!(ours.len() == others.len() && !ours.iter().zip(&others).any(differ), "{backbone}: {id}");
        }
    }
}

#[test]
fn shards_make_together_what_one_process_makes() {
    let whole = workspace();
    whole.run::<Preprocess>(&[]).unwrap();
    let wanted = parts(&whole.run_folder().features("resnet18"));
    let shared = workspace();
    let folder = shared.run_folder().features("resnet18");
    assert!(shared.run::<Preprocess>(&["preprocess.shard=1/2"]).unwrap().is_empty());
    assert_eq!(parts(&folder).len(), 1);
    assert!(Manifest::read(&folder).is_err(), "half a set looked finished");
    assert_eq!(shared.run::<Preprocess>(&["preprocess.shard=0/2"]).unwrap().len(), 1);
    assert!(parts(&folder) == wanted);
    assert!(shared.run::<Preprocess>(&[]).unwrap()[0].up_to_date);
    assert!(message(shared.run::<Preprocess>(&["preprocess.shard=2/2"])).contains("preprocess.shard"));
}

#[test]
fn every_view_is_a_set_of_its_own() {
    let workspace = workspace();
    let views = ["preprocess.views=[\"centre\", \"flip\", \"squash\", \"large\"]"];
    assert_eq!(workspace.run::<Preprocess>(&views).unwrap().len(), 4);
    let folder = workspace.run_folder();
    let of = |set: &str| rows(&folder.features(set));
    let centre = of("resnet18");
    assert_eq!(of("resnet18.flip").len(), centre.len());
    for set in ["resnet18.flip", "resnet18.squash", "resnet18.large"] {
        assert!(of(set).iter().all(|(id, row)| row.grid != centre[id].grid), "{set}");
    }
    assert_eq!(of("resnet18.large").values().next().unwrap().grid.len(), 100 * 512);
}

#[test]
fn tuned_weights_are_those_of_the_run_and_nobody_fetches_them() {
    let workspace = Workspace::new(CONFIG);
    workspace.run::<Dataset>(&[]).unwrap();
    let tuned = ["preprocess.weights=tuned"];
    // A check comes before the tune stage has run, the stage itself after it.
    let context = workspace.context(&tuned).unwrap();
    context.checked::<Preprocess>().unwrap();
    assert!(preprocess::fetch_weights(&context).unwrap().is_empty());
    let early = message(workspace.run::<Preprocess>(&tuned));
    assert!(early.contains("tune/resnet18 is not there") && early.contains("run the tune stage"), "{early}");

    workspace.tune("resnet18", 2);
    workspace.run::<Preprocess>(&tuned).unwrap();
    let folder = workspace.run_folder().features("resnet18.tuned");
    let set = FeatureSet::open_named(&folder, "resnet18.tuned").unwrap();
    let file = workspace.run_folder().tune("resnet18").join("weights.safetensors");
    assert_eq!(set.spec().weights, WeightsOrigin::Tuned);
    assert_eq!(set.spec().weights_sha256, model::weights::sha256_file(&file).unwrap());
    let inputs = Manifest::read(&folder).unwrap().recipe.inputs;
    let names: Vec<&str> = inputs.keys().map(String::as_str).collect();
    assert_eq!(names, ["dataset/images", "tune/resnet18/weights.safetensors"]);
    let request = Request { folder: folder.clone(), like: None, neighbours: 0, sheet: None, json: true };
    let shown = inspect::inspect(&request).unwrap().to_string();
    assert!(shown.contains("resnet18, view centre, tuned weights sha256:"), "{shown}");

    // Another file than the manifest promises is never read.
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let damaged = message(workspace.run_with::<Preprocess>(&tuned, true));
    assert!(
        damaged.contains("weights.safetensors is damaged") && damaged.contains("run `tune` again"),
        "{damaged}"
    );
    assert_eq!(FeatureSet::open(&folder).unwrap().spec(), set.spec());
}

#[test]
fn single_precision_holds_the_same_numbers() {
    let workspace = workspace();
    workspace.run::<Preprocess>(&[]).unwrap();
    let folder = workspace.run_folder().features("resnet18");
    let halves = rows(&folder);
    workspace.run::<Preprocess>(&["preprocess.dtype=f32"]).unwrap();
    assert!(rows(&folder) == halves);
}
