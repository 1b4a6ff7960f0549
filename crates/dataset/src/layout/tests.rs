//! Each rule of the layouts on files made for it.

use std::fs;
use std::path::{Path, PathBuf};

use artifacts::Split;
use tempfile::TempDir;

use super::{LayoutError, RawDataset, flickr8k, table};

mod coco;
mod karpathy;
mod paths;
mod sidecar;

/// A folder with these files; an image needs no content to be found.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    folder
}

fn read_flickr8k(files: &[(&str, &str)]) -> Result<RawDataset, LayoutError> {
    flickr8k::read(folder(files).path())
}

fn read_table(name: &str, content: &str, images: &[&str]) -> Result<RawDataset, LayoutError> {
    let folder = folder(&[(name, content)]);
    for image in images {
        fs::create_dir_all(folder.path().join(image).parent().unwrap()).unwrap();
        fs::write(folder.path().join(image), "").unwrap();
    }
    table::read(&folder.path().join(name), None)
}

fn ids(dataset: &RawDataset) -> Vec<&str> {
    dataset.images.iter().map(|image| image.image_id.as_str()).collect()
}

fn splits(dataset: &RawDataset) -> Vec<Option<Split>> {
    dataset.images.iter().map(|image| image.split).collect()
}

fn captions(dataset: &RawDataset) -> Vec<(&str, &str)> {
    dataset.captions.iter().map(|row| (row.image_id.as_str(), row.caption.as_str())).collect()
}

fn skipped(dataset: &RawDataset) -> Vec<(String, &str)> {
    // Rows are named by a path in a temporary folder: its last part says enough.
    let name = |what: &str| what.rsplit('/').next().unwrap().to_owned();
    dataset.skipped.iter().map(|skip| (name(&skip.what), skip.reason.as_str())).collect()
}

/// Fails unless `result` is refused with a message that holds all of `parts`.
fn assert_refused(result: Result<RawDataset, LayoutError>, parts: &[&str]) {
    let message = result.expect_err("should be refused").to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn flickr8k_is_read_under_every_naming() {
    let csv = "image,caption\nb.jpg,\"A dog , running .\"\na.jpg,A cat .\nb.jpg,A dog .\n";
    let tokens = "b.jpg#0\tA dog , running .\na.jpg#0\tA cat .\nb.jpg#1\tA dog .\n";
    let caption_files = [
        ("captions.txt", csv),
        ("captions.csv", csv),
        ("Flickr8k_text/captions.csv", csv),
        ("Flickr8k.token.txt", tokens),
        ("Flickr8k_text/Flickr8k.token.txt", tokens),
    ];
    let split_files = [
        ["splits/train.txt", "splits/val.txt"],
        ["Flickr_8k.trainImages.txt", "Flickr_8k.devImages.txt"],
        ["Flickr8k_text/Flickr_8k.trainImages.txt", "Flickr8k_text/Flickr_8k.devImages.txt"],
    ];
    for images in ["images", "Images", "Flicker8k_Dataset", "Flickr8k_Dataset"] {
        for caption_file in caption_files {
            for [train, val] in split_files {
                let (a, b) = (format!("{images}/a.jpg"), format!("{images}/b.jpg"));
                let files = [
                    (a.as_str(), ""),
                    (b.as_str(), ""),
                    caption_file,
                    (train, "a.jpg\n"),
                    (val, "b.jpg\r\n"),
                ];
                let dataset = read_flickr8k(&files).unwrap();
                assert_eq!(ids(&dataset), ["b", "a"]);
                assert_eq!(dataset.images[0].path, PathBuf::from(&b));
                assert_eq!(splits(&dataset), [Some(Split::Val), Some(Split::Train)]);
                let expected = [("b", "A dog , running ."), ("a", "A cat ."), ("b", "A dog .")];
                assert_eq!(captions(&dataset), expected);
                assert!(dataset.skipped.is_empty(), "{:?}", dataset.skipped);
                assert_eq!(dataset.sources.len(), 3);
            }
        }
    }
}

#[test]
fn without_split_files_no_image_has_a_split() {
    let dataset =
        read_flickr8k(&[("images/a.jpg", ""), ("captions.txt", "image,caption\na.jpg,A cat\n")]).unwrap();
    assert_eq!(splits(&dataset), [None]);
}

#[test]
fn what_cannot_be_used_is_counted_with_its_reason() {
    let dataset = read_flickr8k(&[
        ("images/a.jpg", ""),
        ("images/unlisted.jpg", ""),
        ("images/silent.jpg", ""),
        ("images/uncaptioned.jpg", ""),
        ("images/notes.txt", ""),
        (
            "captions.csv",
            "image,caption\na.jpg,A cat\ngone.jpg,One\ngone.jpg,Two\na.jpg,\"  \"\nunlisted.jpg,A dog\nsilent.jpg,\n",
        ),
        ("splits/train.txt", "a.jpg\n\ngone.jpg\nsilent.jpg\n"),
        ("splits/test.txt", "nowhere.jpg\n"),
    ])
    .unwrap();
    assert_eq!(captions(&dataset), [("a", "A cat")]);
    let test_file = dataset.sources[2].display();
    assert_eq!(
        skipped(&dataset),
        [
            ("a.jpg)".to_owned(), "empty caption"),
            ("silent.jpg)".to_owned(), "empty caption"),
            ("gone.jpg".to_owned(), "file not found; its 2 captions are left out"),
            ("unlisted.jpg".to_owned(), "in none of the splits"),
            ("nowhere.jpg".to_owned(), format!("file not found; named at {test_file}:1").as_str()),
            ("uncaptioned.jpg".to_owned(), "no caption"),
        ]
    );
    assert!(dataset.skipped[0].what.contains("captions.csv:5 ("), "{}", dataset.skipped[0].what);
}

#[test]
fn missing_parts_of_flickr8k_are_named() {
    assert_refused(read_flickr8k(&[("captions.txt", "")]), &["folder of images", "Flicker8k_Dataset/"]);
    assert_refused(read_flickr8k(&[("images/a.jpg", "")]), &["captions file", "Flickr8k.token.txt"]);
    assert_refused(flickr8k::read(Path::new("no/such/folder")), &["no/such/folder"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_refused(flickr8k::read(file.path()), &["is a file", "folder", "layout = \"table\""]);
    assert_refused(super::folder::read(file.path()), &["is a file"]);
}

#[test]
fn an_image_in_two_splits_is_refused() {
    let result = read_flickr8k(&[
        ("images/a.jpg", ""),
        ("captions.txt", "image,caption\na.jpg,A cat\n"),
        ("splits/train.txt", "a.jpg\n"),
        ("splits/val.txt", "x.jpg\na.jpg\n"),
    ]);
    assert_refused(result, &["images/a.jpg", "in train", "splits/train.txt:1", "in val", "splits/val.txt:2"]);
    let rows = "image,caption,split\na.jpg,A cat,train\na.jpg,A dog,test\n";
    assert_refused(read_table("t.csv", rows, &["a.jpg"]), &["a.jpg", "in train", ":2", "in test", ":3"]);
}

#[test]
fn malformed_token_lines_are_refused() {
    for line in ["a.jpg\tA cat", "a.jpg#0 A cat", "a.jpg#x\tA cat"] {
        let tokens = format!("a.jpg#0\tA cat\n{line}\n");
        let result = read_flickr8k(&[("images/a.jpg", ""), ("Flickr8k.token.txt", tokens.as_str())]);
        assert_refused(result, &["Flickr8k.token.txt:2", "a tab"]);
    }
}

#[test]
fn tables_are_read_as_csv_and_as_json_lines() {
    let csv = "\u{feff}split,caption,image\nval,\"A cat, asleep\",x/a.jpg\ntrain,A \"big\" dog,b.png\nval,A cat,./x/a.jpg\n";
    let jsonl = r#"{"image": "x/a.jpg", "captions": ["A cat, asleep"], "split": "val"}

{"image": "b.png", "caption": "A \"big\" dog", "split": "train"}
{"image": "x/y/../a.jpg", "caption": " A cat ", "split": "val"}
"#;
    for (name, content) in [("t.csv", csv), ("t.jsonl", jsonl)] {
        let dataset = read_table(name, content, &["x/a.jpg", "b.png"]).unwrap();
        assert_eq!(ids(&dataset), ["a", "b"]);
        assert_eq!(splits(&dataset), [Some(Split::Val), Some(Split::Train)]);
        assert_eq!(captions(&dataset), [("a", "A cat, asleep"), ("b", "A \"big\" dog"), ("a", "A cat")]);
        assert!(dataset.skipped.is_empty());
    }
}

#[test]
fn a_table_may_have_its_images_elsewhere() {
    let images = folder(&[("a.jpg", "")]);
    let tables = folder(&[("t.csv", "image,caption\na.jpg,A cat\n")]);
    let dataset = table::read(&tables.path().join("t.csv"), Some(images.path())).unwrap();
    assert_eq!((ids(&dataset), dataset.root.as_path()), (vec!["a"], images.path()));
}

#[test]
fn repeated_rows_are_kept() {
    let dataset = read_table("t.csv", "image,caption\na.jpg,A cat\na.jpg,A cat\n", &["a.jpg"]).unwrap();
    assert_eq!(captions(&dataset), [("a", "A cat"), ("a", "A cat")]);
}

#[test]
fn shared_stems_get_their_paths_as_ids() {
    let rows = "image,caption\nx/1.jpg,A\ny/1.jpg,B\n2.jpg,C\n";
    let dataset = read_table("t.csv", rows, &["x/1.jpg", "y/1.jpg", "2.jpg"]).unwrap();
    assert_eq!(ids(&dataset), ["x/1.jpg", "y/1.jpg", "2"]);
    assert_eq!(captions(&dataset), [("x/1.jpg", "A"), ("y/1.jpg", "B"), ("2", "C")]);
}

#[test]
fn two_files_with_one_id_are_refused() {
    let rows = "image,caption\n1.jpg,A\n1.png,B\n1.jpg.jpg,C\n";
    let result = read_table("t.csv", rows, &["1.jpg", "1.png", "1.jpg.jpg"]);
    assert_refused(result, &["1.jpg and 1.jpg.jpg", "`1.jpg`", "rename"]);
}

#[test]
fn rows_that_do_not_fit_are_left_out_and_counted() {
    let table = "image,caption,source\na.jpg,A cat, asleep,me\na.jpg,A cat,me\nb.jpg,\n";
    let dataset = read_table("t.csv", table, &["a.jpg"]).unwrap();
    assert_eq!(captions(&dataset), [("a", "A cat")]);
    let odd = skipped(&dataset);
    assert_eq!(odd[0].0, "t.csv:2");
    assert!(odd[0].1.contains("4 fields under 3 columns"), "{odd:?}");
    assert!(odd[1].1.contains("2 fields under 3 columns"), "{odd:?}");
    assert!(dataset.notes[0].reason.contains("not read: source"), "{:?}", dataset.notes);
    assert_refused(
        read_table("t.csv", "image,caption\na.jpg,A cat, asleep\n", &["a.jpg"]),
        &["t.csv:2", "double quotes"],
    );
    assert_refused(read_table("t.csv", "image,words\n", &[]), &["it has image,words"]);
}

#[test]
fn rows_of_which_some_have_a_split_are_refused() {
    let rows = "{\"image\": \"a.jpg\", \"caption\": \"A\"}\n{\"image\": \"a.jpg\", \"caption\": \"A\", \"split\": \"val\"}\n";
    assert_refused(read_table("t.jsonl", rows, &["a.jpg"]), &["t.jsonl:2", "all rows a split or none"]);
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let folder = folder(&[("a.jpg", "")]);
    let file = folder.path().join("t.csv");
    fs::write(&file, b"image,caption\na.jpg,A caf\xe9\n").unwrap();
    assert_refused(table::read(&file, None), &["t.csv:2", "UTF-8", "iconv"]);
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    for path in ["/etc/passwd", "../a.jpg", "x/../../a.jpg", ".", "x/.."] {
        let result = read_table("t.csv", &format!("image,caption\n{path},A cat\n"), &["a.jpg"]);
        assert_refused(result, &["t.csv:2", path, "leaves"]);
    }
    assert_refused(read_table("t.csv", "image,caption\n ,A cat\n", &[]), &["t.csv:2", "empty"]);
}

#[test]
fn unknown_splits_are_refused() {
    let result = read_table("t.csv", "image,caption,split\na.jpg,A cat,holdout\n", &["a.jpg"]);
    assert_refused(result, &["t.csv:2", "`holdout`", "train, val or test"]);
    let known = read_table("t.csv", "image,caption,split\na.jpg,A cat,Validation\n", &["a.jpg"]).unwrap();
    assert_eq!(splits(&known), [Some(Split::Val)]);
}

#[test]
fn a_folder_stands_for_its_only_table() {
    let rows = "file_name\ttext\na.jpg\tA cat\n";
    let one = folder(&[("metadata.tsv", rows), ("a.jpg", ""), ("notes.txt", "")]);
    assert_eq!(captions(&table::read(one.path(), None).unwrap()), [("a", "A cat")]);
    let two = folder(&[("metadata.tsv", rows), ("more.csv", ""), ("a.jpg", "")]);
    assert_refused(table::read(two.path(), None), &["metadata.tsv, more.csv", "root"]);
    assert_refused(table::read(folder(&[("a.jpg", "")]).path(), None), &["no table here", "*.jsonl"]);
}

#[test]
fn folders_of_splits_hold_a_table_each() {
    let row = "{\"file_name\": \"1.jpg\", \"text\": \"A cat\"}\n";
    let folder = folder(&[
        ("train/metadata.jsonl", row),
        ("train/1.jpg", ""),
        ("Validation/metadata.csv", "file_name,text\n1.jpg,A dog\n"),
        ("Validation/1.jpg", ""),
    ]);
    let dataset = table::read(folder.path(), None).unwrap();
    assert_eq!(ids(&dataset), ["Validation/1.jpg", "train/1.jpg"]);
    assert_eq!(splits(&dataset), [Some(Split::Val), Some(Split::Train)]);
}

#[test]
fn a_dataset_without_usable_images_is_refused() {
    let result = read_table("t.csv", "image,caption\ngone.jpg,A cat\n", &[]);
    assert_refused(result, &["no captioned image", "1 left out", "gone.jpg: file not found"]);
}

#[test]
fn the_real_flickr8k_is_whole() {
    let Some(root) = needs::shared("flickr8k") else { return };
    let dataset = flickr8k::read(&root).unwrap();
    assert_eq!((dataset.images.len(), dataset.captions.len()), (7_000, 35_000));
    let count = |split| dataset.images.iter().filter(|image| image.split == Some(split)).count();
    assert_eq!([Split::Train, Split::Val, Split::Test].map(count), [6_000, 1_000, 0]);
    assert!(dataset.skipped.is_empty(), "{:?}", dataset.skipped.first());
}
