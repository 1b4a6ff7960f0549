use super::*;
use crate::layout::folder as sidecar;

fn read_folder(files: &[(&str, &str)]) -> Result<RawDataset, LayoutError> {
    sidecar::read(folder(files).path())
}

#[test]
fn each_line_beside_an_image_is_a_caption() {
    let dataset = read_folder(&[
        ("b.JPG", ""),
        ("b.txt", "\u{feff}A dog , running .\r\n\r\n  A dog .\n"),
        ("trips/a.b.png", ""),
        ("trips/a.b.txt", "A caf\u{e9}."),
        ("trips/notes.md", "no image, no caption"),
        (".thumbnails/b.jpg", ""),
        ("._b.txt", ""),
    ])
    .unwrap();
    assert_eq!(ids(&dataset), ["b", "a.b"]);
    assert_eq!(dataset.images[1].path, PathBuf::from("trips/a.b.png"));
    assert_eq!(captions(&dataset), [("b", "A dog , running ."), ("b", "A dog ."), ("a.b", "A café.")]);
    assert_eq!(splits(&dataset), [None, None]);
    assert_eq!(dataset.sources.len(), 2);
    assert!(dataset.skipped.is_empty(), "{:?}", dataset.skipped);
}

#[test]
fn folders_of_train_and_val_are_splits() {
    let files = [
        ("test/c.jpg", ""),
        ("test/c.txt", "C"),
        ("train/x/a.jpg", ""),
        ("train/x/a.txt", "A"),
        ("validation/b.jpg", ""),
        ("validation/b.txt", "B"),
        ("d.jpg", ""),
        ("d.txt", "D"),
    ];
    let dataset = read_folder(&files).unwrap();
    assert_eq!(ids(&dataset), ["c", "a", "b"]);
    assert_eq!(splits(&dataset), [Split::Test, Split::Train, Split::Val].map(Some));
    assert_eq!(skipped(&dataset), [("d.jpg".to_owned(), "in none of the splits")]);
    // Photos of trains are no split.
    let dataset = read_folder(&files[2..4]).unwrap();
    assert_eq!(splits(&dataset), [None]);
}

#[test]
fn what_lacks_its_other_half_is_counted() {
    let dataset = read_folder(&[
        ("a.jpg", ""),
        ("a.txt", "A"),
        ("empty.jpg", ""),
        ("empty.txt", " \n"),
        ("silent.jpg", ""),
        ("x/readme.txt", "Taken in May."),
    ])
    .unwrap();
    assert_eq!(captions(&dataset), [("a", "A")]);
    assert_eq!(
        skipped(&dataset),
        [
            ("readme.txt".to_owned(), "no image of that name beside it, or one that has other captions"),
            ("empty.jpg".to_owned(), "no caption"),
            ("silent.jpg".to_owned(), "no caption"),
        ]
    );
}

#[test]
fn captions_have_many_endings() {
    let dataset = read_folder(&[
        ("a.jpg", ""),
        ("a.jpg.txt", "A"),
        ("a.png", ""),
        ("a.png.txt", "B"),
        ("IMG_1.JPG", ""),
        ("img_1.TXT", "C"),
        ("x.jpg", ""),
        ("x.caption", "D"),
        ("X.jpg", ""),
        ("X.txt", "E"),
        ("X.caption", "tags"),
        ("Thumbs.db", ""),
    ]);
    let dataset = dataset.unwrap();
    let mut found = captions(&dataset);
    found.sort_by_key(|(_, caption)| *caption);
    let found: Vec<(&str, &str)> = found.into_iter().collect();
    assert_eq!(found, [("a.jpg", "A"), ("a.png", "B"), ("IMG_1", "C"), ("x", "D"), ("X", "E")]);
    assert_eq!(skipped(&dataset).len(), 1);
    assert_eq!(skipped(&dataset)[0].0, "X.caption");
}

#[test]
fn content_decides_what_is_an_image() {
    let folder = folder(&[
        ("a.txt", "A"),
        ("b.txt", "B"),
        ("notes.json", "{}"),
        ("b.heic", "\0\0\0\u{18}ftypheic\0\0\0\0mif1heic"),
    ]);
    image::RgbImage::new(4, 4)
        .save_with_format(folder.path().join("a.jfif"), image::ImageFormat::Jpeg)
        .unwrap();
    let dataset = sidecar::read(folder.path()).unwrap();
    assert_eq!(captions(&dataset), [("a", "A")]);
    let left_out = skipped(&dataset);
    assert_eq!(left_out[0], ("b.heic".to_owned(), "a HEIC photo, which is not read"));
    assert_eq!((left_out[1].0.as_str(), left_out.len()), ("b.txt", 2));
}

#[test]
fn videos_beside_photos_are_no_missing_photos() {
    let video = "\0\0\0\u{14}ftypqt  \0\0\0\0qt  ";
    let dataset = read_folder(&[("a.jpg", ""), ("a.txt", "A"), ("a.MOV", video), ("b.mov", video)]).unwrap();
    assert_eq!((captions(&dataset), skipped(&dataset)), (vec![("a", "A")], vec![]));
    assert_eq!(dataset.notes[0].what, "a.MOV");
    assert_eq!(dataset.notes[0].reason, "the first of 2 videos, which are not read");
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_costs_its_image_alone() {
    let folder = folder(&[("a.jpg", ""), ("a.txt", "A"), ("b.txt", "B")]);
    std::os::unix::fs::symlink("gone.jpg", folder.path().join("b.jpg")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
    let dataset = sidecar::read(folder.path()).unwrap();
    assert_eq!(captions(&dataset), [("a", "A"), ("b", "B")]);
}

#[test]
fn two_images_with_one_text_file_are_refused() {
    let result = read_folder(&[("x/a.jpg", ""), ("x/a.png", ""), ("x/a.txt", "A")]);
    assert_refused(result, &["x/a.jpg and x/a.png", "one .txt file"]);
}

#[test]
fn unreadable_parts_are_named() {
    assert_refused(sidecar::read(Path::new("no/such/folder")), &["no/such/folder"]);
    assert_refused(read_folder(&[("a.jpg", "")]), &["no captioned image", "a.jpg: no caption"]);
    let folder = folder(&[("a.jpg", "")]);
    fs::write(folder.path().join("a.txt"), b"A dog\nA caf\xe9\n").unwrap();
    assert_refused(sidecar::read(folder.path()), &["a.txt:2", "UTF-8"]);
}
