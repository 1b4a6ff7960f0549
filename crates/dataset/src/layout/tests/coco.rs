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
    let cases: [(&str, &str, &[&str]); 6] = [
        (image, &[caption, caption].join(","), &["annotations[1]", "the id 4", "annotations[0]"]),
        (
            image,
            r#"{"image_id": 7, "id": 1, "caption": ""}"#,
            &["captions_val2017.json: annotations[0]", "the id 1", "captions_train2017.json: annotations[0]"],
        ),
        (image, r#"{"image_id": 5, "id": 4, "caption": ""}"#, &["annotations[0]", "`images`", "the id 5"]),
        (&[image, image].join(","), caption, &["images[1]", "the id 7", "images[0]"]),
        (
            &[image, r#"{"file_name": "007.jpg", "id": 6}"#].join(","),
            caption,
            &["images[1]", "the file 007.jpg", "images[0]"],
        ),
        (
            r#"{"file_name": "007.jpg", "id": 8}"#,
            caption,
            &["captions_val2017.json: images[0]", "the id 8", "captions_train2017.json: images[0]"],
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
            &["captions_val2017.json: images[0]", "missing field `file_name`"],
        ),
        (
            r#"{"images": [], "annotations": [{"image_id": "7"}]}"#,
            &["annotations[0].image_id", "string \"7\""],
        ),
        (r#"{"images": []}"#, &["missing field `annotations`", "expected {\"images\""]),
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
    let folder = folder(&[("captions_train2017.json", TRAIN)]);
    assert_refused(coco::read(folder.path()), &["no folder of images", "train2017/, images/train2017/"]);
    assert_refused(coco::read(Path::new("no/such/folder")), &["no/such/folder"]);
}
