use super::*;
use crate::layout::coco;

const TRAIN: &str = r#"{"info": {"year": 2017}, "licenses": [],
  "annotations": [{"image_id": 9, "id": 1, "caption": "A dog."}, {"image_id": 8, "id": 2, "caption": "A cat.\n"},
                  {"image_id": 9, "id": 3, "caption": ""}],
  "images": [{"license": 3, "file_name": "008.jpg", "id": 8, "height": 427}, {"file_name": "009.jpg", "id": 9}]}"#;
const VAL: &str = r#"{"images": [{"file_name": "007.jpg", "id": 7}],
  "annotations": [{"image_id": 7, "id": 4, "caption": "A cow."}]}"#;

/// A dataset of 2017 with these captions files.
fn read_coco(train: &str, val: &str) -> Result<RawDataset, LayoutError> {
    let folder = folder(&[
        ("annotations/captions_train2017.json", train),
        ("annotations/captions_val2017.json", val),
        ("train2017/008.jpg", ""),
        ("train2017/009.jpg", ""),
        ("val2017/007.jpg", ""),
    ]);
    coco::read(folder.path())
}

#[test]
fn both_years_are_read_wherever_the_parts_lie() {
    for year in ["2014", "2017"] {
        for annotations in ["annotations/", ""] {
            for images in ["", "images/"] {
                let train = format!("{annotations}captions_train{year}.json");
                let val = format!("{annotations}captions_val{year}.json");
                let [a, b, c] = ["train/008.jpg", "train/009.jpg", "val/007.jpg"]
                    .map(|image| format!("{images}{}", image.replace('/', &format!("{year}/"))));
                let folder = folder(&[(&train, TRAIN), (&val, VAL), (&a, ""), (&b, ""), (&c, "")]);
                let dataset = coco::read(folder.path()).unwrap();
                assert_eq!(ids(&dataset), ["008", "009", "007"]);
                assert_eq!(dataset.images[2].path, PathBuf::from(&c));
                assert_eq!(splits(&dataset), [Split::Train, Split::Train, Split::Val].map(Some));
                assert_eq!(captions(&dataset), [("009", "A dog."), ("008", "A cat."), ("007", "A cow.")]);
                assert_eq!(dataset.sources, [folder.path().join(train), folder.path().join(val)]);
                assert!(dataset.skipped[0].what.contains("annotations[2]"), "{:?}", dataset.skipped);
                assert_eq!((dataset.skipped.len(), dataset.skipped[0].reason.as_str()), (1, "empty caption"));
            }
        }
    }
}

#[test]
fn one_captions_file_alone_has_no_splits() {
    let folder = folder(&[("captions_val2017.json", VAL), ("val2017/007.jpg", "")]);
    let dataset = coco::read(folder.path()).unwrap();
    assert_eq!((ids(&dataset), splits(&dataset)), (vec!["007"], vec![None]));
}

#[test]
fn images_without_captions_or_files_are_counted() {
    let val = r#"{"images": [{"file_name": "007.jpg", "id": 7}, {"file_name": "006.jpg", "id": 6}],
                  "annotations": [{"image_id": 6, "id": 4, "caption": "A cow."}]}"#;
    let dataset = read_coco(TRAIN, val).unwrap();
    assert_eq!(ids(&dataset), ["008", "009"]);
    let expected = [
        ("007.jpg".to_owned(), "no caption"),
        ("006.jpg".to_owned(), "file not found; its caption is left out"),
    ];
    assert_eq!(skipped(&dataset)[1..], expected);
}

#[test]
fn entries_that_contradict_each_other_are_refused() {
    let caption = r#"{"image_id": 7, "id": 4, "caption": "A cow."}"#;
    let image = r#"{"file_name": "007.jpg", "id": 7}"#;
    let cases: [(&str, &str, &[&str]); 3] = [
        (image, &[caption, caption].join(","), &["annotations[1]", "the id 4", "annotations[0]"]),
        (&[image, image].join(","), caption, &["images[1]", "the id 7", "images[0]"]),
        (
            &[image, r#"{"file_name": "007.jpg", "id": 6}"#].join(","),
            caption,
            &["images[1]", "the file 007.jpg", "images[0]"],
        ),
    ];
    for (images, annotations, parts) in cases {
        let val = format!(r#"{{"images": [{images}], "annotations": [{annotations}]}}"#);
        assert_refused(read_coco(TRAIN, &val), parts);
    }
}

#[test]
fn files_of_another_shape_are_refused_with_the_field() {
    let cases: [(&str, &[&str]); 3] = [
        (
            r#"{"images": [{"id": 7}], "annotations": []}"#,
            &["captions_val2017.json: images[0]", "file name is empty"],
        ),
        (
            r#"{"images": [], "annotations": [{"image_id": 7.5}]}"#,
            &["annotations[0].image_id", "7.5 is no id"],
        ),
        (r#"{"annotations": []}"#, &["missing field `images`", "expected {\"images\""]),
    ];
    for (val, parts) in cases {
        assert_refused(read_coco(TRAIN, val), parts);
    }
}

#[test]
fn missing_parts_are_named() {
    assert_refused(
        coco::read(folder(&[]).path()),
        &["no captions file", "annotations/captions_train2014.json"],
    );
    let bare = folder(&[("captions_train2017.json", TRAIN)]);
    assert_refused(coco::read(bare.path()), &["no captioned image", "008.jpg: file not found"]);
    let test = folder(&[("image_info_test2017.json", "{}"), ("test.json", r#"{"images": []}"#)]);
    assert_refused(coco::read(test.path()), &["test.json: missing field `annotations`"]);
    assert_refused(coco::read(Path::new("no/such/folder")), &["no/such/folder"]);
}

#[test]
fn files_of_other_names_are_told_apart_by_their_splits() {
    let file = |id: u32, annotations: &str| {
        format!(r#"{{"images": [{{"id": {id}, "file_name": "1.jpg"}}]{annotations}}}"#)
    };
    let train = file(1, r#", "annotations": [{"image_id": 1, "caption": "A dog.", "is_rejected": false}]"#);
    let val = file(2, r#", "annotations": [{"image_id": 2, "caption": "A cat."}]"#);
    let test = file(3, "");
    let files = [
        ("annotations/train.json", train.as_str()),
        ("annotations/my_val.json", &val),
        ("annotations/test.json", &test),
        ("annotations/instances_val.json", "{}"),
        ("train/1.jpg", ""),
        ("Valid/1.jpg", ""),
    ];
    let whole = folder(&files);
    let dataset = coco::read(whole.path()).unwrap();
    assert_eq!(captions(&dataset), [("train/1.jpg", "A dog."), ("Valid/1.jpg", "A cat.")]);
    assert_eq!(splits(&dataset), [Some(Split::Train), Some(Split::Val)]);
    assert!(dataset.notes[0].what.ends_with("test.json"), "{:?}", dataset.notes);

    let alone = coco::read(&whole.path().join("annotations/train.json")).unwrap();
    assert_eq!((captions(&alone), splits(&alone)), (vec![("1", "A dog.")], vec![None]));
    assert_eq!(alone.images[0].path, PathBuf::from("train/1.jpg"));
    let two = folder(&[("a.json", "{}"), ("b.json", "{}")]);
    assert_refused(coco::read(two.path()), &["a.json, b.json", "root"]);
}

#[test]
fn ids_are_read_however_they_are_written() {
    let train = r#"{"images": [{"id": "a-1", "file_name": "008.jpg"}, {"id": 2, "file_name": "009.jpg"}],
        "annotations": [{"image_id": "a-1", "caption": "A."}, {"image_id": 2.0, "caption": null},
                        {"id": null, "image_id": "2", "caption": "B."}, {"image_id": 5, "caption": "C."}]}"#;
    let dataset = read_coco(&format!("\u{feff}{train}"), VAL).unwrap();
    assert_eq!(captions(&dataset), [("008", "A."), ("009", "B."), ("007", "A cow.")]);
    let reasons: Vec<&str> = dataset.skipped.iter().map(|skip| skip.reason.as_str()).collect();
    assert_eq!(reasons, ["empty caption", "no entry of `images` has the id 5"]);
}

#[test]
fn folders_of_splits_hold_a_file_each() {
    let file = |caption: &str| {
        format!(
            r#"{{"images": [{{"id": 0, "file_name": "0.jpg"}}], "annotations": [{{"id": 0, "image_id": 0, "caption": "{caption}"}}]}}"#
        )
    };
    let (train, val) = (file("A dog."), file("A cat."));
    let whole = folder(&[
        ("set/train/_annotations.coco.json", train.as_str()),
        ("set/train/0.jpg", ""),
        ("set/valid/_annotations.coco.json", &val),
        ("set/valid/0.jpg", ""),
        ("__MACOSX/._set", ""),
    ]);
    let dataset = coco::read(whole.path()).unwrap();
    assert_eq!(captions(&dataset), [("train/0.jpg", "A dog."), ("valid/0.jpg", "A cat.")]);
    assert_eq!(splits(&dataset), [Some(Split::Train), Some(Split::Val)]);
}
