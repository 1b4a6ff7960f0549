//! Servers as they are: those that fail, deny, forget, or give something else than was asked for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong here fails a test")]

mod hub; // datasets of the Hugging Face hub
mod server; // a server that does what a test wants

use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use store::{Folder, Limits, StoreError};

use crate::server::{Answer, Request, Server, file};

/// As often as a test has patience for.
const FEW: Limits = Limits { requests: 4, retries: 2, timeout: Duration::from_secs(60) };
const TAG: &str = "\"one\"";

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

fn open(server: &Server) -> Folder {
    Folder::open_within(&format!("{}/data set", server.address), FEW).unwrap()
}

/// What reading all of `a.tar` gives.
fn read(server: &Server) -> Result<Vec<u8>, StoreError> {
    let blob = open(server).blob("a.tar")?;
    Ok(blob.range(0, blob.size())?.to_vec())
}

fn is_get(request: &Request) -> bool {
    request.method == "GET"
}

#[test]
fn what_is_read_from_front_to_back_comes_in_blocks() {
    let all = bytes(9 << 20);
    let content = all.clone();
    let server = Server::new(move |request| file(request, &content).with("etag", TAG));
    let blob = open(&server).blob("a.tar").unwrap();
    assert_eq!(blob.size(), all.len() as u64);
    let mut found = Vec::new();
    blob.reader(3).read_to_end(&mut found).unwrap();
    assert_eq!(found, all[3..]);
    let asked = server.asked();
    let gets: Vec<&Request> = asked.iter().filter(|request| is_get(request)).collect();
    assert_eq!(gets.len(), 3, "{gets:#?}");
    assert!(gets.iter().all(|get| get.path == "/data%20set/a.tar" && get.headers["if-match"] == TAG));
}

#[test]
fn threads_that_read_one_shard_share_its_blocks() {
    let all = bytes(9 << 20);
    let content = all.clone();
    let server = Server::new(move |request| file(request, &content).with("etag", TAG));
    let blob = open(&server).blob("a.tar").unwrap();
    let photos = Mutex::new((0..all.len()).step_by(64 << 10));
    let read = || {
        while let Some(from) = { photos.lock().unwrap().next() } {
            let photo = blob.range(from as u64, 50 << 10).unwrap();
            assert_eq!(photo, all[from..from + (50 << 10)]);
        }
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(read))));
    assert_eq!(server.asked().iter().filter(|request| is_get(request)).count(), 3);
}

#[test]
fn ranges_anywhere_are_those_of_the_object() {
    let all = bytes(9 << 20);
    let content = all.clone();
    let server = Server::new(move |request| file(request, &content).with("etag", TAG));
    let blob = open(&server).blob("a.tar").unwrap();
    for (from, length) in
        [(0, 10), (5, 4 << 20), ((4 << 20) - 1, 2), (8 << 20, 1 << 20), (100, 0), (9 << 20, 0), (0, 9 << 20)]
    {
        let found = blob.range(from as u64, length as u64).unwrap();
        assert_eq!(found, all[from..from + length]);
    }
    let error = blob.range(all.len() as u64 - 1, 2).unwrap_err();
    assert!(matches!(error, StoreError::Short { .. }), "{error}");
    assert!(matches!(blob.range(u64::MAX, 2).unwrap_err(), StoreError::Short { .. }));
}

#[test]
fn a_failure_that_passes_is_tried_again() {
    for status in [429, 500, 503, 408] {
        let all = bytes(1000);
        let (content, mut heads, mut gets) = (all.clone(), 0, 0);
        let server = Server::new(move |request| {
            let count = if is_get(request) { &mut gets } else { &mut heads };
            *count += 1;
            if *count == 1 { Answer::of(status, b"later") } else { file(request, &content).with("etag", TAG) }
        });
        assert_eq!(read(&server).unwrap(), all, "{status}");
        assert_eq!(server.asked().len(), 4, "{status}");
    }
}

#[test]
fn a_failure_that_lasts_is_said() {
    let server = Server::new(|_| Answer::of(500, b"<html>\n  out of order</html>"));
    let said = read(&server).unwrap_err().to_string();
    let at = format!("{}/data%20set/a.tar: the store failed: ", server.address);
    assert!(said.starts_with(&at) && said.contains("500") && said.ends_with("run again later"), "{said}");
    assert_eq!(server.asked().len(), 3);
    let gone = Folder::open_within("http://127.0.0.1:1/x", FEW).unwrap();
    let said = gone.blob("a.tar").unwrap_err().to_string();
    assert!(said.contains("http://127.0.0.1:1/x/a.tar: the store failed: "), "{said}");
}

#[test]
fn what_is_denied_or_absent_is_said_at_once() {
    for (status, piece) in
        [(401, "check the credentials"), (403, "check the credentials"), (404, "not found")]
    {
        let server = Server::new(move |_| Answer::of(status, b"no"));
        let said = read(&server).unwrap_err().to_string();
        assert!(said.contains("/data%20set/a.tar: ") && said.contains(piece), "{said}");
        let said = open(&server).fetch("a.json", 100).unwrap_err().to_string();
        assert!(said.contains("/data%20set/a.json: ") && said.contains(piece), "{said}");
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn a_connection_that_is_cut_is_taken_up_again() {
    let all = bytes(100_000);
    let (content, mut count) = (all.clone(), 0);
    let server = Server::new(move |request| {
        let mut answer = file(request, &content).with("etag", TAG);
        count += usize::from(is_get(request));
        answer.cut = (is_get(request) && count == 1).then_some(40_000);
        answer
    });
    assert_eq!(read(&server).unwrap(), all);
    let asked = server.asked();
    assert!(
        asked
            .iter()
            .any(|request| request.headers.get("range").is_some_and(|range| range != "bytes=0-99999"))
    );

    let content = all.clone();
    let server = Server::new(move |request| {
        let mut answer = file(request, &content);
        answer.cut = is_get(request).then_some(10);
        answer
    });
    let said = read(&server).unwrap_err().to_string();
    assert!(said.contains("/data%20set/a.tar: the store failed: "), "{said}");
}

#[test]
fn a_server_without_ranges_is_refused_for_shards_alone() {
    let content = bytes(1000);
    let server = Server::new(move |_| Answer::of(200, &content).with("etag", TAG));
    let said = read(&server).unwrap_err().to_string();
    assert!(said.contains("/data%20set/a.tar: the server gives no parts of files"), "{said}");
    assert_eq!(open(&server).fetch("a.tar", 1000).unwrap(), bytes(1000));
    let said = open(&server).fetch("a.tar", 999).unwrap_err().to_string();
    assert!(said.contains("has 1000 bytes, more than 999"), "{said}");
}

#[test]
fn an_object_that_changes_is_never_mixed() {
    let tags: [[Option<&str>; 2]; 4] = [
        [Some("\"one\""), Some("\"two\"")],
        [Some("W/\"one\""), Some("W/\"two\"")],
        [None, None],
        [Some("\"one\""), None],
    ];
    for [before, after] in tags {
        let mut gets = 0;
        let server = Server::new(move |request| {
            gets += usize::from(is_get(request));
            // The first block and the one that is fetched ahead.
            let changed = gets > 2;
            let size = (13 << 20) - usize::from(changed);
            let tag = if changed { after } else { before };
            let wanted = request.headers.get("if-match");
            assert!(wanted.is_none_or(|wanted| !wanted.starts_with("W/")), "a weak tag never matches");
            if wanted.is_some_and(|wanted| Some(wanted.as_str()) != tag) {
                return Answer::of(412, b"");
            }
            let answer = file(request, &vec![7; size]);
            tag.map_or(answer.clone(), |tag| answer.with("etag", tag))
        });
        let blob = open(&server).blob("a.tar").unwrap();
        blob.range(0, 100).unwrap();
        let said = blob.range(9 << 20, 100).unwrap_err().to_string();
        assert!(said.contains("a.tar: changed while it was read: run again when nobody writes it"), "{said}");
    }
    // It has become so short that the range is beyond its end.
    let server = Server::new(move |request| match request.method.as_str() {
        "HEAD" => file(request, &bytes(1000)),
        _ => file(request, &bytes(10)),
    });
    let blob = open(&server).blob("a.tar").unwrap();
    let said = blob.range(0, 100).unwrap_err().to_string();
    assert!(said.contains("changed while it was read"), "{said}");
    let server = Server::new(move |request| match request.method.as_str() {
        "HEAD" => file(request, &bytes(5 << 20)),
        _ => file(request, &bytes(10)),
    });
    let blob = open(&server).blob("a.tar").unwrap();
    let said = blob.range((5 << 20) - 8, 8).unwrap_err().to_string();
    assert!(said.contains("changed while it was read"), "{said}");
}

#[test]
fn an_object_whose_size_nobody_says_is_refused() {
    let server = Server::new(|_| Answer { unmeasured: true, ..Answer::of(200, &[7; 100]) });
    let said = read(&server).unwrap_err().to_string();
    assert!(said.contains("a.tar: the store failed: ") && said.to_lowercase().contains("length"), "{said}");
}

#[test]
fn a_slow_server_is_given_up_after_the_time_that_is_allowed() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let server = Server::new(move |request| {
        if is_get(request) {
            // Until the test is over.
            let _ = receiver.recv();
        }
        file(request, &bytes(100)).with("etag", TAG)
    });
    let limits = Limits { retries: 0, timeout: Duration::from_millis(300), ..FEW };
    let folder = Folder::open_within(&server.address, limits).unwrap();
    let error = folder.blob("a.tar").and_then(|blob| blob.range(0, 100)).unwrap_err();
    drop(sender);
    assert!(matches!(error, StoreError::Failed { .. }), "{error}");
}

#[test]
fn a_server_that_lists_nothing_says_to_name_the_shards() {
    for status in [405, 501, 403] {
        let server = Server::new(move |_| Answer::of(status, b"no"));
        let said = open(&server).list().unwrap_err().to_string();
        assert!(said.contains("lists no files (") && said.contains("/{00000..00331}.tar"), "{said}");
    }
    let server = Server::new(|_| Answer::of(200, b"<html>an index</html>"));
    let said = open(&server).list().unwrap_err().to_string();
    assert!(said.contains("lists no files ("), "{said}");
}

#[test]
fn addresses_that_name_no_store_are_refused() {
    for (place, piece) in [
        ("ftp://x/y", "ftp:// is no store that is known"),
        ("http://x/y?z=1", "has a `?` or a `#`"),
        ("hf://models/a/b", "write hf://datasets/ORG/NAME"),
        ("hf://datasets/a", "write hf://datasets/ORG/NAME"),
        ("file://elsewhere/x", "another machine's file"),
    ] {
        let said = Folder::open(place).map(|_| ()).unwrap_err().to_string();
        assert!(said.contains(piece) && said.contains(place), "{said}");
    }
}
