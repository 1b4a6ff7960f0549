use super::*;
use crate::layout::karpathy;

const COCO: &str = r#"{"dataset": "coco", "images": [
  {"filepath": "val2014", "sentids": [7, 8], "filename": "COCO_val2014_01.jpg", "imgid": 0, "split": "test", "cocoid": 1,
   "sentences": [{"tokens": ["a", "dog"], "raw": "A dog.", "imgid": 0, "sentid": 7},
                 {"tokens": ["it", "runs"], "raw": " It runs. ", "imgid": 0, "sentid": 8}]},
  {"filepath": "val2014", "filename": "COCO_val2014_02.jpg", "imgid": 1, "split": "restval",
   "sentences": [{"raw": "A caf\u00e9."}]},
  {"filepath": "train2014", "filename": "COCO_train2014_03.jpg", "imgid": 2, "split": "train",
   "sentences": [{"raw": "A cat."}]},
  {"filepath": "val2014", "filename": "COCO_val2014_04.jpg", "imgid": 3, "split": "val",
   "sentences": [{"raw": "A cow."}]}]}"#;

const COCO_IMAGES: [&str; 4] = [
    "val2014/COCO_val2014_01.jpg",
    "val2014/COCO_val2014_02.jpg",
    "train2014/COCO_train2014_03.jpg",
    "val2014/COCO_val2014_04.jpg",
];

fn entry(filename: &str, imgid: usize, split: &str, sentences: &str) -> String {
    format!(
        r#"{{"filename": "{filename}", "imgid": {imgid}, "split": "{split}", "sentences": [{sentences}]}}"#
    )
}

fn file(entries: &[String]) -> String {
    format!(r#"{{"images": [{}], "dataset": "flickr8k"}}"#, entries.join(", "))
}

/// The dataset of these entries, beside an `images/` folder with `a.jpg` and `b.jpg`.
fn read_entries(entries: &[String]) -> Result<RawDataset, LayoutError> {
    read_text(&file(entries))
}

fn read_text(json: &str) -> Result<RawDataset, LayoutError> {
    let folder = folder(&[("dataset_flickr8k.json", json), ("images/a.jpg", ""), ("images/b.jpg", "")]);
    karpathy::read(folder.path())
}

#[test]
fn coco_is_read_with_its_folders_and_restval_is_train() {
    for base in ["", "images/"] {
        let images = COCO_IMAGES.map(|image| format!("{base}{image}"));
        let mut files: Vec<(&str, &str)> = images.iter().map(|image| (image.as_str(), "")).collect();
        files.push(("dataset_coco.json", COCO));
        let folder = folder(&files);
        let file = folder.path().join("dataset_coco.json");
        for root in [folder.path(), &file] {
            let dataset = karpathy::read(root).unwrap();
            let expected = ["COCO_val2014_01", "COCO_val2014_02", "COCO_train2014_03", "COCO_val2014_04"];
            assert_eq!(ids(&dataset), expected);
            assert_eq!(dataset.images[2].path, PathBuf::from(&images[2]));
            assert_eq!(dataset.root, folder.path());
            let expected = [Split::Test, Split::Train, Split::Train, Split::Val].map(Some);
            assert_eq!(splits(&dataset), expected);
            let [first, second, ..] = captions(&dataset)[..] else { panic!("too few captions") };
            assert_eq!([first, second], [("COCO_val2014_01", "A dog."), ("COCO_val2014_01", "It runs.")]);
            assert_eq!(dataset.captions[2].caption, "A café.");
            assert_eq!((dataset.sources.as_slice(), dataset.skipped.len()), ([file.clone()].as_slice(), 0));
        }
    }
}

#[test]
fn flickr_images_are_found_under_their_usual_names() {
    for folder_name in [".", "Flicker8k_Dataset", "flickr30k-images", "flickr30k_images/flickr30k_images"] {
        let image = format!("{folder_name}/b.jpg");
        let json = file(&[
            entry("gone.jpg", 0, "train", r#"{"raw": "A"}"#),
            entry("b.jpg", 1, "train", r#"{"raw": "B"}"#),
        ]);
        let folder = folder(&[("dataset_flickr30k.json", &json), (&image, "")]);
        let dataset = karpathy::read(folder.path()).unwrap();
        assert_eq!(ids(&dataset), ["b"]);
        assert_eq!(skipped(&dataset), [("gone.jpg".to_owned(), "file not found; its caption is left out")]);
    }
}

#[test]
fn images_without_sentences_are_counted() {
    let dataset = read_entries(&[
        entry("a.jpg", 0, "train", r#"{"raw": "A"}, {"raw": " "}"#),
        entry("b.jpg", 1, "val", ""),
    ]);
    let dataset = dataset.unwrap();
    assert_eq!(captions(&dataset), [("a", "A")]);
    let [empty, silent] = &dataset.skipped[..] else { panic!("{:?}", dataset.skipped) };
    assert!(empty.what.ends_with("dataset_flickr8k.json: images[0] (images/a.jpg)"), "{}", empty.what);
    assert_eq!(empty.reason, "empty caption");
    assert_eq!((silent.what.as_str(), silent.reason.as_str()), ("images/b.jpg", "no caption"));
}

#[test]
fn entries_that_contradict_each_other_are_refused() {
    let good = entry("a.jpg", 0, "train", r#"{"raw": "A"}"#);
    let cases: [(String, &[&str]); 6] = [
        (entry("b.jpg", 0, "train", ""), &["images[1]", "imgid 0", "images[0]"]),
        (entry("a.jpg", 1, "train", ""), &["images[1]", "the file a.jpg", "images[0]"]),
        (entry("./a.jpg", 1, "test", ""), &["images[1]", "a.jpg", "images[0]"]),
        (entry("b.jpg", 1, "none", ""), &["dataset_flickr8k.json: images[1]", "`none`", "restval"]),
        (entry(" ", 1, "val", ""), &["images[1]", "empty"]),
        (entry("../b.jpg", 1, "val", ""), &["images[1]", "../b.jpg", "leaves"]),
    ];
    for (bad, parts) in cases {
        assert_refused(read_entries(&[good.clone(), bad]), parts);
    }
}

#[test]
fn files_of_another_shape_are_refused_with_the_field() {
    let cases: [(&str, &[&str]); 7] = [
        (
            r#"{"images": [{"filename": "a.jpg", "imgid": 0, "split": "val"}]}"#,
            &["images[0]", "missing field `sentences`"],
        ),
        (r#"{"images": [{"filename": "a.jpg", "imgid": -1.5}]}"#, &["images[0].imgid", "-1.5"]),
        (
            &file(&[entry("a.jpg", 0, "val", r#"{"sentid": 1}"#)]),
            &["images[0].sentences[0]", "without `raw`"],
        ),
        (&file(&[entry("a.jpg", 0, "val", r#"{"raw": 3}"#)]), &["images[0].sentences[0].raw", "integer `3`"]),
        (r#"{"annotations": []}"#, &["missing field `images`", "expected {\"images\":"]),
        (r#"{"images": [{"#, &["dataset_flickr8k.json: images[0]", "EOF"]),
        (r#"{"images": []} []"#, &["trailing characters"]),
    ];
    for (json, parts) in cases {
        assert_refused(read_text(json), parts);
    }
    assert_refused(read_text(r#"{"images": []}"#), &["no captioned image to use, 0 left out"]);
}

#[test]
fn missing_parts_are_named() {
    assert_refused(karpathy::read(Path::new("no/such.json")), &["cannot read no/such.json"]);
    let empty = folder(&[]);
    assert_refused(karpathy::read(empty.path()), &["file of Karpathy's splits", "dataset_flickr30k.json"]);
    let two = folder(&[("dataset_coco.json", COCO), ("dataset_flickr8k.json", COCO)]);
    assert_refused(karpathy::read(two.path()), &["dataset_coco.json, dataset_flickr8k.json", "root"]);
    let bare = folder(&[("dataset_coco.json", COCO)]);
    let parts = ["no captioned image", "val2014/COCO_val2014_01.jpg: file not found"];
    assert_refused(karpathy::read(bare.path()), &parts);
}

#[test]
fn files_of_others_may_lack_what_is_not_needed() {
    let json = r#"{"images": [
        {"filename": "a.jpg", "cocoid": 7, "split": "train", "sentences": [{"tokens": ["a", "dog"]}]},
        {"filename": "b.jpg", "cocoid": 8, "split": "dev", "sentences": ["A cat."]}]}"#;
    let dataset = read_text(json).unwrap();
    assert_eq!(captions(&dataset), [("a", "a dog"), ("b", "A cat.")]);
    assert_eq!(splits(&dataset), [Some(Split::Train), Some(Split::Val)]);

    let own = folder(&[
        ("mine.json", &json.replace("split", "subset")),
        ("photos/a.jpg", ""),
        ("photos/b.jpg", ""),
    ]);
    let dataset = karpathy::read(own.path()).unwrap();
    assert_eq!((ids(&dataset), splits(&dataset)), (vec!["a", "b"], vec![None, None]));
    assert!(dataset.notes[0].reason.starts_with("2 images were found elsewhere"), "{:?}", dataset.notes);
}
