//! Archives that are whole, and such that are not to be trusted.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use dataset::fetch::Set;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::server::Server;
use crate::sets::{fetch, message, remote, set, unpacked, zip};
use crate::{names, set_of};

/// A set of one archive, which lies in `root` already, so that none is fetched.
fn put(root: &Path, archive: &[u8], member: &'static str, to: &'static str, files: usize) -> Set {
    fs::write(root.join("a.zip"), archive).unwrap();
    let server = Server::of([]);
    set([unpacked(remote(&server, "a.zip", archive), member, to, files)])
}

#[test]
fn one_file_of_an_archive_is_taken_alone() {
    let root = tempfile::tempdir().unwrap();
    let archive = zip(&[("one.json", b"1"), ("two.json", b"2")]);
    fetch(&put(root.path(), &archive, "two.json", "two.json", 1), root.path()).0.unwrap();
    assert_eq!(fs::read(root.path().join("two.json")).unwrap(), b"2");
    // What somebody put there is theirs.
    assert_eq!(names(root.path()), set_of(&[".fetched.json", ".lock", "a.zip", "two.json"]));
}

#[test]
fn members_that_climb_out_are_refused_by_name() {
    let link = {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.add_symlink("in/link", "/etc", SimpleFileOptions::default()).unwrap();
        zip.start_file("in/link/passwd", SimpleFileOptions::default()).unwrap();
        zip.write_all(b"root").unwrap();
        zip.finish().unwrap().into_inner()
    };
    let climbing = |name: &str| zip(&[("in/a.txt", b"a"), (name, b"out")]);
    for (archive, member) in [
        (climbing("../out.txt"), "../out.txt"),
        (climbing("in/../../out.txt"), "in/../../out.txt"),
        (climbing("/tmp/out.txt"), "/tmp/out.txt"),
        (climbing("..\\out.txt"), "..\\out.txt"),
        (link, "in/link"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let message = message(&put(&root, &archive, "in", "in", 1), &root);
        assert!(message.contains("a.zip") && message.contains(&format!("`{member}`")), "{message}");
        assert_eq!(names(&root), set_of(&[".fetched.json", ".lock", "a.zip"]));
        assert_eq!(names(folder.path()), set_of(&["root"]));
    }
}

#[test]
fn an_archive_that_is_cut_short_or_damaged_or_lacks_files_leaves_nothing() {
    let whole = zip(&[("in/a.txt", &[7; 5000]), ("in/b.txt", b"b")]);
    let mut flipped = whole.clone();
    // In the compressed bytes of the first member.
    flipped[45] ^= 0xff;
    for (archive, files, wanted) in [
        (whole[..whole.len() - 30].to_vec(), 2, "cannot be unpacked"),
        (flipped, 2, "in/a.txt"),
        (whole, 3, "holds 2 files of in, and 3 at least belong there"),
        (zip(&[("elsewhere/a.txt", b"a")]), 1, "holds 0 files of in"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let message = message(&put(root.path(), &archive, "in", "in", files), root.path());
        assert!(message.contains(wanted) && message.contains("a.zip"), "{message}");
        assert!(message.contains("delete it, so that it is fetched again"), "{message}");
        assert_eq!(names(root.path()), set_of(&[".fetched.json", ".lock", "a.zip"]));
    }
}

#[test]
fn what_a_kill_left_half_unpacked_is_not_taken_for_the_whole() {
    let root = tempfile::tempdir().unwrap();
    let set = put(root.path(), &zip(&[("in/a.txt", b"a"), ("in/b.txt", b"b")]), "in", "in", 2);
    let half = root.path().join(".unpacking/whole");
    fs::create_dir_all(&half).unwrap();
    fs::write(half.join("a.txt"), "ha").unwrap();
    fetch(&set, root.path()).0.unwrap();
    assert_eq!(names(&root.path().join("in")), set_of(&["a.txt", "b.txt"]));
    assert_eq!(fs::read(root.path().join("in/a.txt")).unwrap(), b"a");
    assert!(!root.path().join(".unpacking").exists());
}

#[test]
fn a_folder_that_others_unpacked_counts_if_it_can_be_whole() {
    let root = tempfile::tempdir().unwrap();
    let set = put(root.path(), &zip(&[("in/a.txt", b"a"), ("in/b.txt", b"b")]), "in", "in", 2);
    let folder = root.path().join("in");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.txt"), "mine").unwrap();
    let message = message(&set, root.path());
    assert!(message.contains("in holds 1 files, and 2 at least belong there"), "{message}");
    assert_eq!(names(&folder), set_of(&["a.txt"]));

    fs::write(folder.join("b.txt"), "mine").unwrap();
    let (result, said) = fetch(&set, root.path());
    result.unwrap();
    assert_eq!(said, [format!("tiny: whole in {}", root.path().display())]);
    assert_eq!(fs::read(folder.join("a.txt")).unwrap(), b"mine");
}
