//! Downloads that do not go as they should.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use dataset::fetch::{Fetcher, Remote, Size};

use crate::server::{Answer, Seen, Server};
use crate::sets::{fetch, message, noise, remote, set};
use crate::{curl, names, program, set_of};

const LENGTH: usize = 300_000;

fn seen(from: Option<usize>, sent: usize) -> Seen {
    Seen { file: "list.tsv".to_owned(), from, sent }
}

/// A list whose hash nobody has published.
fn unchecked(server: &Server) -> Remote {
    let url = format!("{}/list.tsv", server.url).leak();
    Remote { url, size: Size::About(LENGTH as u64), digest: None, unpack: None }
}

fn finished(root: &Path, wanted: &[u8]) {
    assert!(fs::read(root.join("list.tsv")).unwrap() == wanted, "another content");
    assert_eq!(names(root), set_of(&[".fetched.json", ".lock", "list.tsv"]));
}

#[test]
fn a_connection_that_breaks_is_gone_on_with_where_it_broke() {
    if !curl() {
        return;
    }
    for checked in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let bytes = noise(LENGTH);
        let server = Server::of([("list.tsv", bytes.clone())]);
        server.plan([Answer::Cut(100_000), Answer::Cut(70_000)]);
        let file = if checked { remote(&server, "list.tsv", &bytes) } else { unchecked(&server) };
        fetch(&set([file]), folder.path()).0.unwrap();
        finished(folder.path(), &bytes);
        let wanted =
            [seen(None, 100_000), seen(Some(100_000), 70_000), seen(Some(170_000), LENGTH - 170_000)];
        assert_eq!(server.seen(), wanted);
    }
}

#[test]
fn a_killed_program_loses_nothing_that_was_written() {
    if !curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("raw");
    // As long as the published one, but not it.
    let bytes = noise(2_340_801);
    let server = Server::of([("Flickr8k_text.zip", bytes.clone())]);
    server.plan([Answer::Hold(1_000_000)]);
    let mut command = program();
    command.args(["fetch", "flickr8k", "--retries", "0", "--from", &server.url]).arg("--into").arg(&root);
    let mut killed = command.stderr(Stdio::null()).spawn().unwrap();
    let part = root.join(".Flickr8k_text.zip.part");
    while fs::metadata(&part).map_or(0, |part| part.len()) < 1_000_000 {
        assert!(killed.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    server.release();
    assert!(fs::read(&part).unwrap() == bytes[..1_000_000]);

    let output = command.stderr(Stdio::piped()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    let requests: Vec<_> = server.seen().iter().map(|seen| (seen.from, seen.sent)).collect();
    // Gone on with; and since the whole is another file, which the beginning may have been to blame for, once anew.
    assert_eq!(requests, [(None, 1_000_000), (Some(1_000_000), 1_340_801), (None, 2_340_801)]);
    assert!(error.contains("on from 1.0 MB"), "{error}");
    assert!(error.contains("is not the Flickr8k_text.zip that was published (its hash is "), "{error}");
    assert!(error.contains("not MD5 bf6c1abcb8e4a833b7f922104de18627"), "{error}");
    assert_eq!(names(&root), set_of(&[".lock"]));
}

#[test]
fn another_content_or_length_is_refused_by_name_and_not_kept() {
    if !curl() {
        return;
    }
    let published = noise(LENGTH);
    let mut other = published.clone();
    other[LENGTH / 2] ^= 1;
    let longer = [&published[..], b"more"].concat();
    for (bytes, wanted) in [
        (other, "its hash is "),
        (published[1..].to_vec(), "it has 299999 bytes, not 300000"),
        (b"<html>Please log in</html>".to_vec(), "it has 26 bytes, not 300000"),
        (longer, "more than 300000 bytes come"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::of([("list.tsv", bytes)]);
        let message = message(&set([remote(&server, "list.tsv", &published)]), folder.path());
        assert!(message.contains(wanted) && message.contains("list.tsv"), "{message}");
        assert!(message.contains("--from"), "{message}");
        assert_eq!(names(folder.path()), set_of(&[".lock"]));
    }
    // Of a list whose length is roughly known, a page in its place is told apart.
    let folder = tempfile::tempdir().unwrap();
    let server = Server::of([("list.tsv", b"<html>Please log in</html>".to_vec())]);
    let message = message(&set([unchecked(&server)]), folder.path());
    assert!(message.contains("it has 26 bytes, not about 300000"), "{message}");
}

#[test]
fn a_beginning_of_another_file_is_left_for_the_whole_one() {
    if !curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(LENGTH);
    let server = Server::of([("list.tsv", bytes.clone())]);
    fs::write(folder.path().join(".list.tsv.part"), vec![0; 1000]).unwrap();
    let (result, said) = fetch(&set([remote(&server, "list.tsv", &bytes)]), folder.path());
    result.unwrap();
    assert!(said.join("\n").contains("once more from its beginning"), "{said:?}");
    finished(folder.path(), &bytes);
    assert_eq!(server.seen(), [seen(Some(1000), LENGTH - 1000), seen(None, LENGTH)]);
}

#[test]
fn a_file_that_changes_between_two_tries_is_fetched_anew() {
    if !curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (noise(LENGTH), noise(LENGTH + 1));
    let server = Server::of([("list.tsv", old)]);
    server.plan([Answer::Cut(100_000), Answer::Change(new.clone())]);
    fetch(&set([unchecked(&server)]), folder.path()).0.unwrap();
    finished(folder.path(), &new);
    let asked: Vec<_> = server.seen().iter().map(|seen| seen.from).collect();
    assert_eq!(asked, [None, Some(100_000), None]);
}

#[test]
fn a_list_that_was_fetched_before_and_is_another_now_is_seen() {
    if !curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::of([("list.tsv", noise(LENGTH))]);
    let set = set([unchecked(&server)]);
    fetch(&set, folder.path()).0.unwrap();
    fs::remove_file(folder.path().join("list.tsv")).unwrap();
    server.put("list.tsv", noise(LENGTH + 1));
    let (result, said) = fetch(&set, folder.path());
    result.unwrap();
    assert!(said.join("\n").contains("list.tsv is not what it was when it was last fetched"), "{said:?}");
}

#[test]
fn a_complete_download_that_was_not_yet_named_is_not_fetched_again() {
    if !curl() {
        return;
    }
    for checked in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let bytes = noise(LENGTH);
        let server = Server::of([("list.tsv", bytes.clone())]);
        let file = if checked { remote(&server, "list.tsv", &bytes) } else { unchecked(&server) };
        let request = download::Request { unchecked: !checked, ..download::Request::new(file.url) };
        download::complete(&request, &folder.path().join(".list.tsv.part"), &mut |_| {}).unwrap();
        fetch(&set([file]), folder.path()).0.unwrap();
        finished(folder.path(), &bytes);
        assert_eq!(server.sent(), LENGTH);
    }
}

#[test]
fn a_server_without_ranges_is_asked_for_the_whole() {
    if !curl() {
        return;
    }
    for checked in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let bytes = noise(LENGTH);
        let server = Server::of([("list.tsv", bytes.clone())]);
        server.plan([Answer::NoRangesCut(100_000), Answer::NoRanges, Answer::NoRanges]);
        let file = if checked { remote(&server, "list.tsv", &bytes) } else { unchecked(&server) };
        fetch(&set([file]), folder.path()).0.unwrap();
        finished(folder.path(), &bytes);
        let asked: Vec<_> = server.seen().iter().map(|seen| seen.from).collect();
        assert_eq!(asked, [None, Some(100_000), None]);
    }
}

#[test]
fn a_server_without_ranges_that_always_breaks_off_is_given_up() {
    if !curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(LENGTH);
    let server = Server::of([("list.tsv", bytes.clone())]);
    server.plan(std::iter::repeat_n(Answer::NoRangesCut(100_000), 20));
    let message = message(&set([remote(&server, "list.tsv", &bytes)]), folder.path());
    assert!(
        message.contains("cannot fetch list.tsv") && message.contains("curl failed: curl: (18)"),
        "{message}"
    );
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_server_that_refuses_is_named_with_its_status() {
    if !curl() {
        return;
    }
    for (status, wanted) in [
        (403, "answers 403, that it may not"),
        (404, "answers 404, that it is not there"),
        (500, "answers 500"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let bytes = noise(LENGTH);
        let server = Server::of([("list.tsv", bytes.clone())]);
        server.plan([Answer::Cut(1000), Answer::Status(status)]);
        let set = set([remote(&server, "list.tsv", &bytes)]);
        let message = message(&set, folder.path());
        assert!(message.contains(wanted) && message.contains("cannot fetch list.tsv"), "{message}");
        // What came before stays, and is gone on with.
        fetch(&set, folder.path()).0.unwrap();
        finished(folder.path(), &bytes);
        assert_eq!(server.seen().last(), Some(&seen(Some(1000), LENGTH - 1000)));
    }
}

#[test]
fn a_server_that_is_overloaded_is_asked_again() {
    if !curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(LENGTH);
    let server = Server::of([("list.tsv", bytes.clone())]);
    server.plan([Answer::Status(503)]);
    let url = format!("{}/list.tsv", server.url);
    let request = download::Request { retries: 1, ..download::Request::new(&url) };
    let part = folder.path().join("part");
    download::complete(&request, &part, &mut |_| {}).unwrap();
    assert!(fs::read(&part).unwrap() == bytes);
}

#[test]
fn of_two_processes_one_waits_and_fetches_nothing() {
    if !curl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(LENGTH);
    let server = Server::of([("list.tsv", bytes.clone())]);
    server.plan([Answer::Hold(1000)]);
    let set = set([remote(&server, "list.tsv", &bytes)]);
    let run = |say: &dyn Fn(&str)| {
        Fetcher { set: &set, root: folder.path(), mirror: None, retries: 0, quiet: true, say }.run().unwrap();
    };
    let (began, begun) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        // Whoever says something holds the lock.
        scope.spawn(move || run(&|_| began.send(()).unwrap_or_default()));
        begun.recv().unwrap();
        drop(begun);
        run(&|line| {
            if line.contains("waiting for another process") {
                server.release();
            }
        });
    });
    finished(folder.path(), &bytes);
    assert_eq!(server.sent(), LENGTH);
}

#[test]
fn what_was_put_there_by_hand_is_taken_if_it_is_the_published_one() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = noise(LENGTH);
    let server = Server::of([]);
    let set = set([remote(&server, "list.tsv", &bytes)]);
    let path = folder.path().join("list.tsv");
    fs::write(&path, &bytes[1..]).unwrap();
    let message = message(&set, folder.path());
    assert!(message.contains("move it away") && message.contains("list.tsv"), "{message}");
    assert!(fs::read(&path).unwrap() == bytes[1..], "it was touched");

    fs::write(&path, &bytes).unwrap();
    fetch(&set, folder.path()).0.unwrap();
    finished(folder.path(), &bytes);
    assert_eq!(server.seen(), []);
}
