//! Names as other systems write them, and the files that they mean.

use super::*;

/// The path that a table's only row is found at, or why it is not.
fn found(written: &str, files: &[&str]) -> Result<String, String> {
    let mut files: Vec<(&str, &str)> = files.iter().map(|file| (*file, "")).collect();
    let field = written.replace('"', "\"\"");
    let rows = format!("image,caption\n\"{field}\",A cat\nanchor.gif,A dog\n");
    files.extend([("t.csv", rows.as_str()), ("anchor.gif", "")]);
    let folder = folder(&files);
    let written = table::read(&folder.path().join("t.csv"), None);
    let dataset = written.map_err(|error| error.to_string())?;
    match dataset.skipped.as_slice() {
        [] => Ok(dataset.images[0].path.display().to_string()),
        [skip] => Err(skip.reason.clone()),
        more => panic!("{more:?}"),
    }
}

#[test]
fn a_name_is_found_when_only_one_file_can_be_meant() {
    let cases: [(&str, &[&str], &str); 22] = [
        (" a.jpg", &[" a.jpg", "a.jpg"], " a.jpg"),
        (" a.jpg ", &["a.jpg"], "a.jpg"),
        ("a.jpg", &["a.jpg "], "a.jpg "),
        (r"photos\a.jpg", &["photos/a.jpg"], "photos/a.jpg"),
        (r".\photos\\a.jpg", &["photos/a.jpg"], "photos/a.jpg"),
        (r"C:\Users\me\photos\a.jpg", &["photos/a.jpg"], "photos/a.jpg"),
        ("/home/me/set/photos/a.jpg", &["photos/a.jpg", "other/a.jpg"], "photos/a.jpg"),
        ("Photos/A.JPG", &["photos/a.jpg"], "photos/a.jpg"),
        ("A.jpg", &["a.jpg", "A.jpg"], "A.jpg"),
        ("cafe\u{301}.jpg", &["caf\u{e9}.jpg"], "caf\u{e9}.jpg"),
        ("caf\u{e9}.jpg", &["cafe\u{301}.jpg"], "cafe\u{301}.jpg"),
        ("photos/a.jpg", &["photos/photos/a.jpg"], "photos/photos/a.jpg"),
        ("a%20b.jpg", &["a b.jpg"], "a b.jpg"),
        ("a%20b.jpg", &["a b.jpg", "a%20b.jpg"], "a%20b.jpg"),
        ("photos/a", &["photos/a.jpg", "photos/a.txt"], "photos/a.jpg"),
        ("old/a.jpg", &["old/new/a.jpg"], "old/new/a.jpg"),
        (
            "val2014/COCO_val2014_000000000042.jpg",
            &["train2017/000000000042.jpg", "val2017/000000000043.jpg"],
            "train2017/000000000042.jpg",
        ),
        ("val2017/42", &["val2017/000000000042.jpg", "val2017/000000000142.jpg"], "val2017/000000000042.jpg"),
        (
            "coco/42",
            &["coco/images/COCO_val2014_000000000042.jpg"],
            "coco/images/COCO_val2014_000000000042.jpg",
        ),
        ("x/0042.jpg", &["x/42.jpg", "y/042.jpg"], "x/42.jpg"),
        ("0.jpg", &["000.jpg"], "000.jpg"),
        ("7.jpg", &["7.jpg", "07.jpg"], "7.jpg"),
    ];
    for (written, files, path) in cases {
        assert_eq!(found(written, files).as_deref(), Ok(path), "{written}");
    }
}

#[test]
fn a_name_of_no_file_says_what_nearly_matches() {
    let cases: [(&str, &[&str], &str); 11] = [
        ("7.jpg", &["07.jpg", "007.jpg"], "it may be 007.jpg or 07.jpg: name one of them"),
        ("x/7.jpg", &["y/07.jpg"], "file not found; there is y/07.jpg"),
        ("7.png", &["07.jpg"], "there is 07.jpg"),
        ("a.jpg", &["x/a.jpg", "y/a.jpg"], "file not found; there is x/a.jpg and y/a.jpg"),
        ("A.jpG", &["a.jpg", "A.JPG"], "it may be A.JPG or a.jpg: name one of them"),
        ("a.jpeg", &["a.jpg"], "there is a.jpg"),
        ("train/1.jpg", &["val/1.jpg"], "there is val/1.jpg"),
        ("train/1.jpg", &["1.jpg", "train/2.jpg"], "there is 1.jpg"),
        ("kitchen.jpg", &["kichten.jpg"], "a like name is kichten.jpg"),
        ("photo-17.jpg", &["photo-18.jpg"], "file not found; its caption"),
        ("100%.jpg", &["100.jpg"], "file not found"),
    ];
    for (written, files, part) in cases {
        let reason = found(written, files).unwrap_err();
        assert!(reason.contains(part), "{written}: {reason}");
    }
}

#[test]
fn names_that_cannot_be_files_below_the_root_are_refused() {
    let cases =
        [(r"..\a.jpg", "leaves"), ("https://example.org/a.jpg", "is an address; fetch"), (r"x\..", "leaves")];
    for (written, part) in cases {
        let reason = found(written, &["a.jpg"]).unwrap_err();
        assert!(reason.contains(part), "{written}: {reason}");
    }
}

#[test]
fn absolute_names_inside_the_root_are_taken() {
    let folder = folder(&[("photos/a.jpg", ""), ("b.jpg", "")]);
    let root = folder.path().display();
    let rows =
        format!("image,caption\n{root}/photos/a.jpg,A cat\nfile://{root}/b.jpg,A dog\n{root}/./b.jpg,Two\n");
    fs::write(folder.path().join("t.csv"), rows).unwrap();
    let dataset = table::read(&folder.path().join("t.csv"), None).unwrap();
    assert_eq!(captions(&dataset), [("a", "A cat"), ("b", "A dog"), ("b", "Two")]);
    assert_eq!(dataset.images[0].path, PathBuf::from("photos/a.jpg"));
}

#[test]
fn one_file_is_not_taken_for_two_images() {
    for rows in [
        "train/1.jpg,A cat\nval/1.jpg,A dog\n",
        "train/1.jpg,A cat\n1.jpg,A dog\n",
        "1.jpg,A cat\nval/1.jpg,A dog\n",
    ] {
        let result = read_table("t.csv", &format!("image,caption\n{rows}"), &["1.jpg"]);
        assert_refused(result, &["t.csv:3", "would both be the file 1.jpg"]);
    }
    let rows = "image,caption\nset/1.jpg,A cat\nset\\1.JPG,A dog\n";
    let dataset = read_table("t.csv", rows, &["1.jpg"]).unwrap();
    assert_eq!(captions(&dataset), [("1", "A cat"), ("1", "A dog")]);
    assert!(dataset.notes[0].reason.contains("1 images were found elsewhere"), "{:?}", dataset.notes);
}

#[test]
fn folders_that_were_unpacked_twice_are_seen_through() {
    let tokens = "a.jpg#0\tA cat\nb.jpg#0\tA dog\n";
    let twice = folder(&[
        ("Flickr8k_Dataset/Flicker8k_Dataset/a.jpg", ""),
        ("Flickr8k_Dataset/Flicker8k_Dataset/b.jpg", ""),
        ("Flickr8k_Dataset/Flicker8k_Dataset/silent.jpg", ""),
        ("Flickr8k_Dataset/__MACOSX/._a.jpg", ""),
        ("Flickr8k.token.txt", tokens),
    ]);
    let dataset = flickr8k::read(twice.path()).unwrap();
    assert_eq!(ids(&dataset), ["a", "b"]);
    let inside = [
        [("set/Photos/a.jpg", ""), ("set/Photos/b.jpg", ""), ("set/Flickr8k.token.txt", tokens)],
        [("a.jpg", ""), ("b.jpg", ""), ("Flickr8k.token.txt", tokens)],
    ];
    for files in inside {
        assert_eq!(ids(&read_flickr8k(&files).unwrap()), ["a", "b"]);
    }
    assert_eq!(skipped(&dataset), [("silent.jpg".to_owned(), "no caption")]);
}

#[test]
fn flickr30k_is_read_as_it_is_handed_out() {
    let table = "image_name| comment_number| comment\n1.jpg| 0| A dog , running .\n1.jpg| 1   A dog .\n2.jpg| 0| A cat .\n";
    let inside = [
        ("flickr30k_images/results.csv", table),
        ("flickr30k_images/1.jpg", ""),
        ("flickr30k_images/2.jpg", ""),
    ];
    let beside = [
        ("results.csv", table),
        ("Flickr30k_Images/flickr30k_images/1.jpg", ""),
        ("Flickr30k_Images/flickr30k_images/2.jpg", ""),
    ];
    for files in [inside, beside] {
        let dataset = read_flickr8k(&files).unwrap();
        assert_eq!(captions(&dataset), [("1", "A dog , running ."), ("2", "A cat .")]);
        assert_eq!(skipped(&dataset)[0].0, "results.csv:3");
    }
}
