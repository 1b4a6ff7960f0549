//! A program at the end of a pipe, on a full disk, and with names that steer a terminal.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn artifacts(arguments: &[&str], stdout: impl Into<Stdio>) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_artifacts"));
    program.args(arguments).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

fn json(folder: &Path) -> String {
    let path = folder.join("a.json");
    std::fs::write(&path, "{\"a\": 1}").unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn whoever_closes_a_pipe_has_read_enough() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = artifacts(&["show", &json(folder.path())], writer);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_full_disk_is_one_line_and_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = artifacts(&["show", &json(folder.path())], full);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("error: cannot write to standard output: No space left"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_name_steers_no_terminal_and_passes_for_no_line() {
    let output = artifacts(&["show", "no\u{1b}[2J\nerror: \u{202e}such file"], Stdio::null());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no\\u{1b}[2J\n    error: \\u{202e}such file"), "{said}");
}
