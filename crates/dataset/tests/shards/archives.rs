//! Archives that are whole: which members make a sample, and what is said of those that make none.

use artifacts::Split;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::run::{Run, map, picture, says, summary, warnings};

/// An archive of files, in order.
pub(crate) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in members {
        file(&mut builder, name, bytes);
    }
    builder.into_inner().unwrap()
}

/// Any name, also those that the builder refuses; GNU's long names where it is one.
pub(crate) fn file(builder: &mut Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(EntryType::Regular);
    if name.len() > 100 {
        builder.append_data(&mut header, name, bytes).unwrap();
    } else {
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    }
}

/// One sample a key: a picture of its number, and a caption.
pub(crate) fn samples(numbers: std::ops::Range<u32>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for number in numbers {
        file(&mut builder, &format!("{number:06}.png"), &picture(number));
        file(&mut builder, &format!("{number:06}.txt"), format!("picture {number}").as_bytes());
    }
    builder.into_inner().unwrap()
}

fn one(members: &[(&str, &[u8])]) -> Run {
    let run = Run::new("webdataset");
    run.raw("a.tar", &archive(members));
    run
}

#[test]
fn neighbours_of_one_key_are_a_sample() {
    let (a, b, c) = (picture(0), picture(1), picture(2));
    let long = "d/".repeat(60) + "c";
    let (long_image, long_text) = (format!("{long}.png"), format!("{long}.TXT"));
    let run = one(&[
        ("./x/a.png", &a),
        ("x/a.seg.png", b"a mask"),
        ("x/a.cls", b"3"),
        ("x/a.json", br#"{"caption": "of the JSON", "width": NaN, "said": "a \"NaN\" \\"}"#),
        ("x/a.txt", b"a first line\na second"),
        ("b.JPG", &b),
        ("b.txt", "\u{FEFF}one  line\r\n\n  another \n".as_bytes()),
        ("__meta__", b"{}"),
        (&long_image, &c),
        (&long_text, b"far down"),
    ]);
    let manifest = run.make(&[]);
    assert_eq!(
        run.captions(),
        map(&[("x/a", &["of the JSON"]), ("b", &["one line", "another"]), (&long, &["far down"])])
    );
    let found = run.found();
    let row = &found["x/a"].row;
    assert_eq!((row.path.as_str(), row.length, row.row), ("a.tar", Some(a.len() as u64), None));
    assert_eq!(([row.width, row.height], row.split), ([20, 16], Split::Train));
    assert_eq!(summary(&manifest, "captions"), json!(4));
    assert_eq!(summary(&manifest, "train_images"), json!(3));
    assert_eq!(warnings(&manifest).len(), 1, "{:?}", warnings(&manifest)); // no val images
}

#[test]
fn captions_come_from_json_in_every_form() {
    let pictures: Vec<Vec<u8>> = (0..6).map(picture).collect();
    let run = one(&[
        ("a.json", br#"{"caption": ["one", "two"]}"#),
        ("a.png", &pictures[0]),
        ("b.json", br#"{"captions": ["three", {"raw": "four"}]}"#),
        ("b.png", &pictures[1]),
        ("c.json", br#"{"caption": null}"#),
        ("c.png", &pictures[2]),
        ("c.txt", b"five"),
        ("d.json", br#"{"caption": ["list"]}"#),
        ("d.png", &pictures[3]),
        ("d.txt", b"six"),
        ("e.json", br#"{"caption": ["seven", "eight"]}"#),
        ("e.png", &pictures[4]),
        ("e.txt", b"nine"),
        ("f.json", br#"{"url": "http://x/", "caption": "ten" "#),
        ("f.png", &pictures[5]),
        ("f.txt", b"eleven"),
    ]);
    let manifest = run.make(&[]);
    let wanted: [(&str, &[&str]); 6] = [
        ("a", &["one", "two"]),
        ("b", &["three", "four"]),
        ("c", &["five"]),
        ("d", &["list"]),
        ("e", &["nine"]),
        ("f", &["eleven"]),
    ];
    assert_eq!(run.captions(), map(&wanted));
    let reason = ("a.tar f".to_owned(), "skipped: its JSON cannot be read (it ends too early)".to_owned());
    assert!(warnings(&manifest).contains(&reason), "{:?}", warnings(&manifest));
}

#[test]
fn what_cannot_be_used_is_counted_by_its_reason() {
    let good = picture(9);
    let run = one(&[
        ("good.png", &good),
        ("good.txt", b"good"),
        ("lone.png", &picture(0)),
        ("null.json", br#"{"caption": null}"#),
        ("null.png", &picture(1)),
        ("empty.png", &picture(2)),
        ("empty.txt", b" \n"),
        ("orphan.txt", b"no image"),
        ("odd.json", br#"{"caption": 7}"#),
        ("odd.png", &picture(3)),
        ("latin.png", &picture(4)),
        ("latin.txt", b"caf\xE9"),
        ("bad.png", b"no picture"),
        ("bad.txt", b"bad"),
        ("two.png", &picture(5)),
        ("two.jpg", &picture(6)),
        ("two.txt", b"kept with the first"),
        ("same.png", &picture(7)),
        ("same.txt", b"first"),
        ("same.txt", b"second"),
        ("../out.png", &picture(8)),
        ("../out.txt", b"out"),
        ("/abs.png", &picture(8)),
        ("good.png", &picture(10)),
        ("good.txt", b"again"),
    ]);
    let refused = run.refused(&[]);
    says(
        &refused,
        &["images cannot be used, more than dataset.max_bad_fraction = 0.02", "no caption", "a.tar lone"],
    );
    let manifest = run.make(&["--set", "dataset.max_bad_fraction=1"]);
    assert_eq!(
        run.captions(),
        map(&[("good", &["good"]), ("two", &["kept with the first"]), ("same", &["first"])])
    );
    let said = warnings(&manifest);
    let of = |subject: &str| -> Vec<&str> {
        said.iter().filter(|(of, _)| of == subject).map(|(_, reason)| reason.as_str()).collect()
    };
    // Without any: null, odd, latin and lone.
    assert_eq!(of("a.tar lone"), ["the first of 4 skipped: no caption"]);
    assert_eq!(of("a.tar empty"), ["skipped: empty caption"]);
    says(of("a.tar orphan")[0], &["skipped: no image beside the captions", "tar --sort=name"]);
    assert_eq!(of("a.tar odd"), ["skipped: its JSON cannot be read (`caption` is no sentence)"]);
    assert_eq!(of("a.tar latin"), ["skipped: its text is not UTF-8"]);
    assert_eq!(of("a.tar two.jpg"), ["skipped: a second image of its key"]);
    assert_eq!(of("a.tar same.txt"), ["skipped: a second file of that ending for one key"]);
    assert_eq!(of("a.tar ../out.png"), ["the first of 2 skipped: its name leads out of the archive"]);
    says(of("a.tar good")[0], &["skipped: another image of the shard has that name", "dataset.ids"]);
    assert_eq!(of("a.tar bad").len(), 1);
}

#[test]
fn an_unsorted_archive_is_refused_with_the_remedy() {
    let run = one(&[
        ("a.png", &picture(0)),
        ("b.png", &picture(1)),
        ("c.png", &picture(2)),
        ("c.txt", b"c"),
        ("a.txt", b"a"),
        ("b.txt", b"b"),
    ]);
    says(&run.refused(&[]), &["2 of 3 images cannot be used", "no caption", "a.tar a"]);
    let manifest = run.make(&["--set", "dataset.max_bad_fraction=1"]);
    assert!(warnings(&manifest).iter().any(|(_, reason)| reason.contains("tar --sort=name")));
}

#[test]
fn links_folders_and_sparse_files_are_no_samples() {
    let mut builder = Builder::new(Vec::new());
    let other = |builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, target: Option<&str>| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        if let Some(target) = target {
            header.set_link_name(target).unwrap();
        }
        builder.append_data(&mut header, name, std::io::empty()).unwrap();
    };
    other(&mut builder, EntryType::Directory, "a/", None);
    file(&mut builder, "a/1.png", &picture(1));
    // Between the members of a sample, which it does not tear apart.
    other(&mut builder, EntryType::Symlink, "a/2.png", Some("/etc/passwd"));
    other(&mut builder, EntryType::Link, "b.png", Some("a/1.png"));
    file(&mut builder, "a/1.txt", b"one");
    let run = Run::new("webdataset");
    run.raw("a.tar", &builder.into_inner().unwrap());
    let manifest = run.make(&[]);
    assert_eq!(run.captions(), map(&[("a/1", &["one"])]));
    assert_eq!(warnings(&manifest).len(), 1);
    // A file of a megabyte of which a block is there, as the last member.
    let mut bytes = samples(0..1);
    bytes.truncate(bytes.len() - 1024);
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(512);
    let name = b"s.png";
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..name.len()].copy_from_slice(name);
    gnu.sparse[0].offset.copy_from_slice(b"00000000000\0");
    gnu.sparse[0].numbytes.copy_from_slice(b"00000001000\0");
    gnu.sparse[1].offset.copy_from_slice(b"00004000000\0");
    gnu.sparse[1].numbytes.copy_from_slice(b"00000000000\0");
    gnu.realsize.copy_from_slice(b"00004000000\0");
    header.set_cksum();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[7; 512]);
    bytes.extend_from_slice(&[0; 1024]);
    let run = Run::new("webdataset");
    run.raw("a.tar", &bytes);
    let manifest = run.make(&["--set", "dataset.max_bad_fraction=0.5"]);
    assert_eq!(run.captions().len(), 1);
    assert!(
        warnings(&manifest).contains(&("a.tar s.png".to_owned(), "skipped: a sparse file".to_owned())),
        "{:?}",
        warnings(&manifest)
    );
}

#[test]
fn names_of_shards_say_splits_if_they_tell_some_apart() {
    let run = Run::new("webdataset");
    run.raw("cc-train-0.tar", &samples(0..2));
    run.raw("cc-train-1.tar", &samples(2..3));
    run.raw("cc-val-0.tar", &samples(3..4));
    run.raw("test/0.tar", &samples(4..5));
    run.raw("_temporary/9.tar", b"nonsense");
    run.raw("_9.tar", b"nonsense");
    run.raw(".9.tar", b"nonsense");
    run.raw(".hidden/9.tar", b"nonsense");
    let manifest = run.make(&[]);
    let splits: Vec<Split> = run.found().into_values().map(|found| found.row.split).collect();
    assert_eq!(splits, [Split::Train, Split::Train, Split::Train, Split::Val, Split::Test]);
    assert_eq!(summary(&manifest, "shards"), json!(4));
    assert!(warnings(&manifest).is_empty(), "{:?}", warnings(&manifest));

    run.raw("more.tar", &samples(5..6));
    says(&run.refused(&[]), &["cc-train-0.tar is named after a split", "more.tar is not"]);

    let run = Run::new("webdataset");
    run.raw("train-0.tar", &samples(0..40));
    run.raw("train-1.tar", &samples(40..80));
    let fractions = ["--set", "dataset.val_fraction=0.2", "--set", "dataset.test_fraction=0.2"];
    let manifest = run.make(&fractions);
    let val = summary(&manifest, "val_images").as_u64().unwrap();
    let test = summary(&manifest, "test_images").as_u64().unwrap();
    assert!((4..32).contains(&val) && (4..32).contains(&test), "{val} {test}");
    says(&warnings(&manifest)[0].1, &["val and test are drawn"]);
}

#[test]
fn a_photo_in_two_splits_is_said() {
    let run = Run::new("webdataset");
    run.raw("train-0.tar", &samples(0..3));
    run.raw("val-0.tar", &archive(&[("v.png", &picture(1)), ("v.txt", b"a copy")]));
    let manifest = run.make(&[]);
    assert_eq!(warnings(&manifest).len(), 1, "{:?}", warnings(&manifest));
    says(&format!("{:?}", warnings(&manifest)[0]), &["val-0.tar at byte 512", "train-0.tar"]);
}

#[test]
fn patterns_and_single_files_name_shards() {
    let run = Run::new("webdataset");
    for (number, name) in ["009", "010", "011", "012"].iter().enumerate() {
        let first = number as u32 * 2;
        run.raw(&format!("cc{name}.tar"), &samples(first..first + 2));
    }
    let place = run.path("raw").display().to_string();
    let with = |root: &str| run.configure("webdataset", root);
    with(&format!("{place}/cc{{009..011}}.tar"));
    assert_eq!(summary(&run.make(&[]), "shards"), json!(3));
    assert_eq!(run.found().len(), 6);
    with(&format!("{place}/cc010.tar"));
    assert_eq!(summary(&run.make(&[]), "shards"), json!(1));
    with(&format!("{place}/cc{{012..014}}.tar"));
    says(&run.refused(&[]), &["cc013.tar: not found"]);
    for wrong in ["cc{011..009}.tar", "cc{a..b}.tar", "cc{9.tar", "{0..1}/x.tar", "cc{0..9999999}.tar"] {
        with(&format!("{place}/{wrong}"));
        says(&run.refused(&[]), &["stands for numbered names, as in {00000..00331}"]);
    }
    with(&format!("{place}/none"));
    says(&run.refused(&[]), &["dataset.root", "does not exist"]);
    std::fs::create_dir(run.path("empty")).unwrap();
    with(&run.path("empty").display().to_string());
    says(&run.refused(&[]), &["no tar file here"]);
    std::fs::write(run.path("empty/x.tar.gz"), "").unwrap();
    says(&run.refused(&[]), &["its archives are packed", "unpack them"]);
    std::fs::write(run.path("empty/train.parquet"), "").unwrap();
    std::fs::remove_file(run.path("empty/x.tar.gz")).unwrap();
    says(&run.refused(&[]), &["layout = \"parquet\""]);
}

#[test]
fn ids_of_several_shards_may_not_be_equal() {
    let run = Run::new("webdataset");
    run.raw("a.tar", &samples(0..2));
    run.raw("b.tar", &archive(&[("000001.png", &picture(7)), ("000001.txt", b"other")]));
    says(
        &run.refused(&[]),
        &["two images are called 000001: a.tar at byte", "b.tar at byte 512", "dataset.ids = \"place\""],
    );
    run.make(&["--set", "dataset.ids=\"place\""]);
    assert_eq!(
        run.captions(),
        map(&[("a/000000", &["picture 0"]), ("a/000001", &["picture 1"]), ("b/000001", &["other"])])
    );
}
