//! The dataset stage on public layouts: what lands in the two tables, and what makes it run again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use artifacts::captions;
use artifacts::{Manifest, Split};
use dataset::Dataset;
use image::{Rgb, RgbImage};
use pipeline_tests::{Workspace, message};
use serde_json::{Value, json};

fn workspace(layout: &str) -> Workspace {
    let workspace = Workspace::new("");
    let config = workspace.path("config.toml");
    let root = workspace.path("raw");
    let section = format!("[dataset]\nlayout = \"{layout}\"\nroot = \"{}\"\n", root.display());
    fs::write(&config, fs::read_to_string(&config).unwrap() + &section).unwrap();
    workspace
}

/// A picture below `raw/`, as wide as told.
fn picture(workspace: &Workspace, name: &str, width: u32) {
    let path = workspace.path("raw").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(width, 40, Rgb([width as u8, 90, 30])).save(path).unwrap();
}

fn write_json(workspace: &Workspace, name: &str, value: &Value) {
    let path = workspace.path("raw").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, value.to_string()).unwrap();
}

/// Path, split and width of every image by its id.
fn images(workspace: &Workspace) -> BTreeMap<String, (String, Split, u32)> {
    let (root, images) = workspace.images();
    assert_eq!(root, workspace.path("raw"));
    images.into_iter().map(|row| (row.image_id, (row.path, row.split, row.width))).collect()
}

fn sentences(workspace: &Workspace) -> Vec<(String, String)> {
    captions::open(&workspace.run_folder().dataset())
        .unwrap()
        .all()
        .unwrap()
        .into_iter()
        .map(|row| (row.image_id, row.caption))
        .collect()
}

fn summary(folder: &Path) -> Value {
    json!(Manifest::read(folder).unwrap().summary)
}

/// Whether the stage had nothing to do.
fn up_to_date(workspace: &Workspace) -> bool {
    workspace.run::<Dataset>(&[]).unwrap()[0].up_to_date
}

#[test]
fn karpathys_file_becomes_tables_and_its_change_is_seen() {
    let workspace = workspace("karpathy");
    let entry = |imgid: u64, folder: &str, name: &str, split: &str| {
        json!({
            "filepath": folder, "filename": name, "imgid": imgid, "cocoid": imgid + 100, "split": split,
            "sentences": [{"raw": format!("Picture {imgid}."), "tokens": ["picture"]}, {"raw": "It is plain."}],
        })
    };
    let entries = [
        entry(0, "train2014", "t.png", "train"),
        entry(1, "val2014", "r.png", "restval"),
        entry(2, "val2014", "v.png", "val"),
        entry(3, "val2014", "e.png", "test"),
        entry(4, "val2014", "broken.png", "train"),
    ];
    for (width, name) in (50..).zip(["train2014/t.png", "val2014/r.png", "val2014/v.png", "val2014/e.png"]) {
        picture(&workspace, name, width);
    }
    fs::write(workspace.path("raw/val2014/broken.png"), "no picture").unwrap();
    write_json(&workspace, "dataset_coco.json", &json!({"images": entries, "dataset": "coco"}));

    let refused = message(workspace.run::<Dataset>(&[]));
    assert!(refused.contains("1 of 5") && refused.contains("val2014/broken.png"), "{refused}");
    workspace.run::<Dataset>(&["dataset.max_bad_fraction=0.2"]).unwrap();
    let row = |path: &str, split, width| (path.to_owned(), split, width);
    let expected = BTreeMap::from([
        ("t".to_owned(), row("train2014/t.png", Split::Train, 50)),
        ("r".to_owned(), row("val2014/r.png", Split::Train, 51)),
        ("v".to_owned(), row("val2014/v.png", Split::Val, 52)),
        ("e".to_owned(), row("val2014/e.png", Split::Test, 53)),
    ]);
    assert_eq!(images(&workspace), expected);
    assert_eq!(sentences(&workspace).len(), 8);
    assert_eq!(sentences(&workspace)[2], ("r".to_owned(), "Picture 1.".to_owned()));
    let warnings = Manifest::read(&workspace.run_folder().dataset()).unwrap().warnings;
    assert_eq!((warnings.len(), warnings[0].subject.as_str()), (1, "val2014/broken.png"));

    assert!(up_to_date(&workspace));
    write_json(&workspace, "dataset_coco.json", &json!({"images": entries[..4]}));
    assert!(!up_to_date(&workspace));
    assert!(up_to_date(&workspace));
}

#[test]
fn a_coco_pair_becomes_tables_with_test_images_from_val() {
    let workspace = workspace("coco");
    for (name, ids) in [("train2017", 0..6_u64), ("val2017", 10..14)] {
        let file = |id: u64| format!("{id:012}.png");
        for id in ids.clone() {
            picture(&workspace, &format!("{name}/{}", file(id)), 50);
        }
        let images: Vec<Value> = ids.clone().map(|id| json!({"id": id, "file_name": file(id)})).collect();
        let caption = |id: u64| json!({"id": id, "image_id": id, "caption": format!("Picture {id}.")});
        let annotations: Vec<Value> = ids.map(caption).collect();
        let value = json!({"info": {}, "images": images, "annotations": annotations});
        write_json(&workspace, &format!("annotations/captions_{name}.json"), &value);
    }
    let folder = workspace.run_folder().dataset();
    let counts = |train: u64, val: u64, test: u64| json!({"captions": 10, "train_images": train, "val_images": val, "test_images": test});
    workspace.run::<Dataset>(&["dataset.test_fraction=0.5"]).unwrap();
    assert_eq!(summary(&folder), counts(6, 2, 2));
    for (id, (path, split, _)) in images(&workspace) {
        assert_eq!(path.starts_with("train2017/"), split == Split::Train, "{id}");
    }
    assert_eq!(sentences(&workspace)[6], ("000000000010".to_owned(), "Picture 10.".to_owned()));

    workspace.run::<Dataset>(&["dataset.test_fraction=0.0"]).unwrap();
    assert_eq!(summary(&folder), counts(6, 4, 0));
}

#[test]
fn captions_beside_images_are_watched() {
    let workspace = workspace("folder");
    for number in 0..10 {
        picture(&workspace, &format!("{number}.png"), 50);
        fs::write(workspace.path(&format!("raw/{number}.txt")), "A picture.\nIt is plain.\n").unwrap();
    }
    assert!(!up_to_date(&workspace));
    let folder = workspace.run_folder().dataset();
    let expected = json!({"captions": 20, "train_images": 8, "val_images": 1, "test_images": 1});
    assert_eq!(summary(&folder), expected);
    assert!(up_to_date(&workspace));
    fs::write(workspace.path("raw/3.txt"), "Another caption.\n").unwrap();
    assert!(!up_to_date(&workspace));
    assert_eq!(sentences(&workspace).len(), 19);
}

/// A table of these rows under a header with splits, each with a picture of the width that its caption begins with.
fn write_table(workspace: &Workspace, rows: &[(&str, u32, &str)]) {
    let mut table = "image,caption,split\n".to_owned();
    for (name, width, split) in rows {
        picture(workspace, name, *width);
        table += &format!("{name},{width} wide,{split}\n");
    }
    fs::write(workspace.path("raw/captions.csv"), table).unwrap();
}

fn warnings(workspace: &Workspace) -> Vec<(String, String)> {
    let manifest = Manifest::read(&workspace.run_folder().dataset()).unwrap();
    manifest.warnings.into_iter().map(|warning| (warning.subject, warning.reason)).collect()
}

#[test]
fn the_same_file_in_two_splits_is_said() {
    let workspace = workspace("table");
    write_table(
        &workspace,
        &[("a.png", 50, "train"), ("b.png", 51, "val"), ("copy.png", 50, "test"), ("again.png", 50, "train")],
    );
    workspace.run::<Dataset>(&[]).unwrap();
    let [(subject, reason)] = &warnings(&workspace)[..] else { panic!("{:?}", warnings(&workspace)) };
    assert_eq!(subject, "copy.png");
    assert!(reason.contains("in test is the same file as a.png in train"), "{reason}");

    write_table(&workspace, &[("a.png", 50, "train"), ("b.png", 51, "test")]);
    workspace.run::<Dataset>(&[]).unwrap();
    let [(subject, reason)] = &warnings(&workspace)[..] else { panic!("{:?}", warnings(&workspace)) };
    assert!(subject == "val" && reason.contains("give some images the split `val`"), "{reason}");
}

#[test]
fn copies_stay_together_where_the_split_is_seeded() {
    let workspace = workspace("table");
    let names: Vec<String> = (0..12).map(|number| format!("{number}.png")).collect();
    let rows: Vec<(&str, u32, &str)> =
        names.iter().zip(0..).map(|(name, number)| (name.as_str(), 50 + number % 4, "")).collect();
    write_table(&workspace, &rows);
    workspace.run::<Dataset>(&["dataset.val_fraction=0.25", "dataset.test_fraction=0.25"]).unwrap();
    let expected = json!({"captions": 12, "train_images": 6, "val_images": 3, "test_images": 3});
    assert_eq!(summary(&workspace.run_folder().dataset()), expected);
    assert_eq!(warnings(&workspace), []);
    let mut split_of_width = BTreeMap::new();
    for (_, split, width) in images(&workspace).into_values() {
        assert_eq!(*split_of_width.entry(width).or_insert(split), split);
    }
}

#[test]
fn a_stray_row_is_counted_and_many_are_refused() {
    let workspace = workspace("table");
    let rows: Vec<String> = (0..20).map(|number| format!("{number}.png,{number} wide,train\n")).collect();
    for number in 0..20 {
        picture(&workspace, &format!("{number}.png"), 50 + number);
    }
    let write = |stray: usize| {
        let table = format!(
            "image,caption,split\n{}{}",
            rows.concat(),
            "0.png,A wide, plain one,train\n".repeat(stray)
        );
        fs::write(workspace.path("raw/captions.csv"), table).unwrap();
    };
    write(1);
    let strict = message(workspace.run::<Dataset>(&["dataset.max_bad_fraction=0.0"]));
    assert!(strict.contains("1 of 21 captions or rows"), "{strict}");
    workspace.run::<Dataset>(&[]).unwrap();
    let strays = warnings(&workspace);
    assert!(
        strays
            .iter()
            .any(|(subject, reason)| subject.ends_with("captions.csv:22") && reason.contains("4 fields"))
    );
    write(2);
    let refused = message(workspace.run::<Dataset>(&[]));
    assert!(refused.contains("2 of 22 captions or rows") && refused.contains("captions.csv:22"), "{refused}");
}

#[test]
fn a_table_of_another_program_gives_the_same_dataset() {
    let workspace = workspace("table");
    write_table(&workspace, &[("x/a.png", 50, "train"), ("x/b.png", 51, "val")]);
    workspace.run::<Dataset>(&[]).unwrap();
    let plain = (images(&workspace), sentences(&workspace));
    let text = "\u{feff}Image;Caption;Split\r\nX\\A.png;50 wide;Train\r\n.\\x\\b.PNG;51 wide;validation\r\n";
    let sixteen: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(workspace.path("raw/captions.csv"), sixteen).unwrap();
    assert!(!up_to_date(&workspace));
    assert_eq!((images(&workspace), sentences(&workspace)), plain);
    assert_eq!(warnings(&workspace), []);
}
