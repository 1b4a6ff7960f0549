//! The hub's listing and files. Its address and the token are the environment's, so each case is a process of its own.

use std::process::Command;

use store::{Folder, Limits};

use crate::server::{Answer, Server, file};

const PLACE: &str = "HUB_TEST_PLACE";

/// In the process of a case: prints what lies at the place, each file with its bytes.
#[test]
fn shows_a_place() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let limits = Limits { retries: 1, ..Limits::default() };
    let shown = Folder::open_within(&place, limits).and_then(|folder| {
        let mut lines = Vec::new();
        for entry in folder.list()? {
            let blob = folder.blob(&entry.name)?;
            let text = String::from_utf8_lossy(&blob.range(0, blob.size())?).into_owned();
            lines.push(format!("{} {} {text}", entry.name, entry.size));
        }
        Ok(lines.join("\n"))
    });
    println!("<<{}>>", shown.unwrap_or_else(|error| format!("refused: {error}")));
}

fn show(place: &str, server: &Server, token: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "hub::shows_a_place", "--nocapture"]);
    command.env(PLACE, place).env("HF_ENDPOINT", &server.address).env_remove("HF_TOKEN");
    if let Some(token) = token {
        command.env("HF_TOKEN", token);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.split_once("<<").unwrap().1.split_once(">>").unwrap().0.to_owned()
}

fn listing(files: &[(&str, usize)]) -> String {
    let file = |(path, size): &(&str, usize)| {
        let kind = if *size == 0 { "directory" } else { "file" };
        format!(r#"{{"type":"{kind}","oid":"x{size}","size":{size},"path":"{path}","lfs":{{"oid":"y"}}}}"#)
    };
    format!("[{}]", files.iter().map(file).collect::<Vec<_>>().join(","))
}

#[test]
fn a_dataset_is_listed_page_by_page_and_read() {
    let mut failed = false;
    let server = Server::new(move |request| {
        let host = &request.headers["host"];
        match request.path.as_str() {
            "/api/datasets/o/n/tree/main?recursive=true" if !std::mem::replace(&mut failed, true) => {
                Answer::of(429, b"")
            }
            "/api/datasets/o/n/tree/main?recursive=true" => {
                let next = format!("<http://{host}/page2>; rel=\"next\"");
                Answer::of(
                    200,
                    listing(&[("data", 0), ("data/train-0.parquet", 5), ("README.md", 6)]).as_bytes(),
                )
                .with("link", next)
            }
            "/page2" => {
                Answer::of(200, listing(&[("data/val 0.parquet", 4), (".gitattributes", 3)]).as_bytes())
            }
            "/datasets/o/n/resolve/main/data/train-0.parquet" => {
                // The hub sends its clients to where the bytes are.
                Answer::of(302, b"").with("location", format!("http://{host}/bytes?signed=yes"))
            }
            "/bytes?signed=yes" => file(request, b"train").with("etag", "\"1\""),
            "/datasets/o/n/resolve/main/data/val%200.parquet" => file(request, b"vals").with("etag", "\"2\""),
            "/datasets/o/n/resolve/main/README.md" => file(request, b"readme").with("etag", "\"3\""),
            _ => Answer::of(404, b""),
        }
    });
    let shown = show("hf://datasets/o/n", &server, Some("hf_secret"));
    assert_eq!(shown, "README.md 6 readme\ndata/train-0.parquet 5 train\ndata/val 0.parquet 4 vals");
    let asked = server.asked();
    assert!(asked.iter().all(|request| request.headers["authorization"] == "Bearer hf_secret"), "{asked:#?}");
}

#[test]
fn revisions_and_folders_are_part_of_the_address() {
    let server = Server::new(|request| match request.path.as_str() {
        "/api/datasets/o/n/tree/v1.0/data?recursive=true" => {
            Answer::of(200, listing(&[("data/a.tar", 3)]).as_bytes())
        }
        "/datasets/o/n/resolve/v1.0/data/a.tar" => file(request, b"tar"),
        _ => Answer::of(404, b""),
    });
    assert_eq!(show("hf://datasets/o/n@v1.0/data", &server, None), "a.tar 3 tar");
    assert!(server.asked().iter().all(|request| !request.headers.contains_key("authorization")));
    let said = show("hf://datasets/o/none", &server, None);
    assert_eq!(said, "refused: hf://datasets/o/none (main): not found");
}

#[test]
fn a_dataset_that_is_a_program_is_read_as_the_hub_converted_it() {
    let server = Server::new(|request| match request.path.as_str() {
        "/api/datasets/o/n/tree/main?recursive=true" => Answer::of(200, listing(&[("n.py", 9)]).as_bytes()),
        "/api/datasets/o/n/tree/refs%2Fconvert%2Fparquet?recursive=true" => {
            Answer::of(200, listing(&[("default/test/0000.parquet", 4)]).as_bytes())
        }
        "/datasets/o/n/resolve/refs%2Fconvert%2Fparquet/default/test/0000.parquet" => file(request, b"rows"),
        _ => Answer::of(404, b""),
    });
    assert_eq!(show("hf://datasets/o/n", &server, None), "default/test/0000.parquet 4 rows");
    let written = "hf://datasets/o/n@refs%2Fconvert%2Fparquet";
    assert_eq!(show(written, &server, None), "default/test/0000.parquet 4 rows");
}

#[test]
fn what_the_hub_does_not_give_is_said() {
    for (status, wanted) in [
        (401, "the store refuses access (set HF_TOKEN, and accept the dataset's terms on its page)"),
        (403, "set HF_TOKEN"),
        (500, "its listing answers 500"),
    ] {
        let server = Server::new(move |_| Answer::of(status, b"no"));
        let said = show("hf://datasets/o/n", &server, None);
        assert!(said.starts_with("refused: hf://datasets/o/n: ") && said.contains(wanted), "{said}");
    }
    let server = Server::new(|_| Answer::of(200, b"<html>"));
    let said = show("hf://datasets/o/n", &server, None);
    assert!(said.contains("its listing is not understood"), "{said}");
}
