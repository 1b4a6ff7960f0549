//! Archives that are cut short, packed, damaged or none.

use std::fs;
use std::io::Write;

use serde_json::json;

use crate::archives::{archive, samples};
use crate::run::{Run, map, picture, says, summary, warnings};

/// What the program says of a dataset of a good archive and these bytes.
fn refused(bytes: &[u8]) -> String {
    let run = Run::new("webdataset");
    run.raw("good.tar", &samples(10..12));
    run.raw("odd.tar", bytes);
    let said = run.refused(&[]);
    says(&said, &["odd.tar"]);
    assert!(!said.contains("good.tar"), "{said}");
    // What is whole stays: the next run reads the other one alone.
    assert_eq!(fs::read_dir(run.dataset().join("images")).unwrap().count(), 1);
    said
}

#[test]
fn a_cut_archive_is_refused_wherever_it_is_cut() {
    let whole = samples(0..2);
    let data = whole.len() - 1024;
    let second = picture(0).len().next_multiple_of(512) + 512;
    let cuts = [
        (0, 0),
        (300, 0),
        (512, 0),
        (600, 0),
        (second, 1),
        (second + 100, 1),
        (second + 1024, 2),
        (data, 4),
        (data + 100, 4),
    ];
    for (length, members) in cuts {
        let said = refused(&whole[..length]);
        says(&said, &[&format!("odd.tar is cut short after {members} members: fetch or write it again")]);
    }
    // A single block of zeros is an end, if not the one that tar writes.
    let run = Run::new("webdataset");
    run.raw("a.tar", &whole[..data + 512]);
    run.make(&[]);
    assert_eq!(run.found().len(), 2);
}

#[test]
fn a_header_that_describes_a_member_which_is_missing_is_a_cut() {
    // WebDataset's own archives have one before each member.
    let whole = fs::read(crate::run::fixtures("webdataset/pax.tar")).unwrap();
    says(&refused(&whole[..512]), &["cut short after 0 members"]);
    says(&refused(&whole[..1024]), &["cut short after 0 members"]);
    // A size that no archive of this length has room for takes no memory.
    let mut huge = archive(&[("a.png", b"x")]);
    huge[124..136].copy_from_slice(b"77777777777\0");
    let sum: u32 = huge[..148].iter().chain(&huge[156..512]).map(|&byte| u32::from(byte)).sum::<u32>() + 256;
    huge[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    says(&refused(&huge), &["cut short after 0 members"]);
}

#[test]
fn packed_and_foreign_files_are_refused() {
    says(&refused(b"\x1F\x8B\x08\0some gzip"), &["is packed", "gunzip"]);
    says(&refused(&[7; 4096]), &["cannot be read as a tar archive behind 0 members", "not a number"]);
    let mut damaged = samples(0..2);
    let second = picture(0).len().next_multiple_of(512) + 512;
    damaged[second + 3] ^= 0x55;
    says(&refused(&damaged), &["cannot be read as a tar archive behind 1 members"]);
}

#[test]
fn archives_one_behind_the_other_are_one() {
    let run = Run::new("webdataset");
    let mut bytes = samples(0..1);
    bytes.extend(vec![0; 9216]); // tar fills up records of twenty blocks
    bytes.extend(samples(1..3));
    run.raw("a.tar", &bytes);
    run.raw("b.tar", &[0; 10240]);
    let manifest = run.make(&[]);
    assert_eq!(
        run.captions(),
        map(&[("000000", &["picture 0"]), ("000001", &["picture 1"]), ("000002", &["picture 2"])])
    );
    assert_eq!(summary(&manifest, "shards"), json!(2));
    let mut cut = bytes;
    cut.truncate(cut.len() - 1024);
    says(&refused(&cut), &["cut short after 6 members"]);
}

#[test]
fn members_larger_than_any_image_are_passed_over() {
    let run = Run::new("webdataset");
    let mut bytes = samples(0..2);
    bytes.truncate(bytes.len() - 1024);
    run.raw("a.tar", &bytes);
    let mut file = fs::File::options().append(true).open(run.path("raw/a.tar")).unwrap();
    let most = imaging::MAX_FILE_BYTES + 1;
    for name in ["big.mp4", "huge.png"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(most);
        header.set_path(name).unwrap();
        header.set_cksum();
        file.write_all(header.as_bytes()).unwrap();
        let end = file.metadata().unwrap().len() + most.next_multiple_of(512);
        file.set_len(end).unwrap(); // a hole
    }
    file.write_all(&samples(2..3)).unwrap();
    let manifest = run.make(&["--set", "dataset.max_bad_fraction=0.3"]);
    assert_eq!(run.found().len(), 3);
    let said = warnings(&manifest);
    let of: Vec<_> = said.iter().filter(|(subject, _)| subject.starts_with("a.tar")).collect();
    let wanted =
        ("a.tar huge.png".to_owned(), "skipped: larger than any image or text that is read".to_owned());
    assert_eq!(of, [&wanted]);
}

#[test]
fn several_broken_shards_are_named_together() {
    let run = Run::new("webdataset");
    for number in 0..8 {
        run.raw(&format!("{number}.tar"), &samples(0..1)[..600]);
    }
    let said = run.refused(&[]);
    says(&said, &["8 shards cannot be used", "0.tar is cut short", "4.tar is cut short", "… and 3 more"]);
    assert!(!said.contains("5.tar"), "{said}");
}
