//! What a test needs beside this workspace: other programs, Python's packages, a kind of machine.
//!
//! A test without what it needs does not pass in silence. It says on the terminal what is missing and does nothing more,
//! or it fails where the environment variable `REQUIRE_ALL_TESTS` is set and the thing could have been installed. Every such
//! test asks here, and in one of three ways: [`tool`] (with [`program`] and [`python`] on top of it) for what
//! `scripts/get-test-tools.sh` installs, [`large_tool`] for what it installs when one asks for it, [`machine`] for what nobody can
//! install.

mod s3;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use s3::S3;

/// Where it is set, a test without its tools fails.
const REQUIRE_ALL: &str = "REQUIRE_ALL_TESTS";

/// Passes on what was found of a tool that `scripts/get-test-tools.sh` installs; `None` skips the test, aloud.
///
/// # Panics
///
/// If it was not found and `REQUIRE_ALL_TESTS` is set.
#[track_caller]
pub fn tool<T>(name: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let lack = format!("needs {name}, which scripts/get-test-tools.sh installs");
        assert!(std::env::var_os(REQUIRE_ALL).is_none(), "{} {lack} ({REQUIRE_ALL} is set)", test());
        skip(&lack);
    }
    found
}

/// Passes on what was found of a tool that is too large for every run of the tests: `scripts/get-test-tools.sh` installs it where
/// the variable `asked` is set. `None` skips the test, aloud, wherever it runs.
pub fn large_tool<T>(name: &str, asked: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        skip(&format!("needs {name}, which {asked}=1 scripts/get-test-tools.sh installs"));
    }
    found
}

/// Passes on what was found of something that only another machine has: a processor's instructions, a user without
/// privileges, files that are not published. `None` skips the test, aloud, wherever it runs.
pub fn machine<T>(name: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        skip(&format!("needs {name}, which cannot be installed"));
    }
    found
}

/// Whether a program runs with these arguments: those that show that it can do what the test asks of it.
#[track_caller]
pub fn program(name: &str, arguments: &[&str]) -> bool {
    let output = Command::new(name).args(arguments).output();
    tool(name, output.ok().filter(|output| output.status.success())).is_some()
}

/// The Python that `CAPTIONING_PYTHON` names, or `python3`, if it runs these lines of imports.
#[track_caller]
pub fn python(imports: &str) -> Option<PathBuf> {
    let python = std::env::var_os("CAPTIONING_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let output = Command::new(&python).args(["-c", imports]).output();
    let able = output.is_ok_and(|output| output.status.success());
    let modules = imports.lines().collect::<Vec<_>>().join("; ");
    tool(&format!("a Python that can `{modules}`"), able.then_some(python))
}

/// A path below the folder of reference material that developers have beside the repository.
pub fn shared(path: &str) -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    machine(&format!("../shared/{path}"), shared.exists().then_some(shared))
}

/// Past the test runner, which keeps what a passing test prints to itself.
fn skip(lack: &str) {
    // A terminal that is gone is no reason to fail.
    let _ = writeln!(std::io::stderr(), "skipped: {} {lack}", test());
}

/// The name of the running test: its thread's.
fn test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_handed_on() {
        assert_eq!(tool("a tool", Some(1)), Some(1));
        assert_eq!(large_tool("a large tool", "WITH_TOOL", Some(1)), Some(1));
        assert_eq!(machine("a machine", Some(1)), Some(1));
        assert!(program("cargo", &["--version"]));
    }

    /// Both ways to lack something, in a process of their own, whose terminal is read.
    #[test]
    fn a_lack_is_said_aloud_and_fails_where_everything_is_required() {
        if std::env::var_os("NEEDS_LACKS").is_some() {
            assert_eq!(machine::<()>("a moon", None), None);
            assert_eq!(large_tool::<()>("a whale", "WITH_WHALE", None), None);
            assert!(!program("no-such-program", &[]));
            return;
        }
        let run = |required: bool| {
            let mut lacking = Command::new(std::env::current_exe().unwrap());
            lacking.args(["--exact", "tests::a_lack_is_said_aloud_and_fails_where_everything_is_required"]);
            lacking.env("NEEDS_LACKS", "1").env_remove(REQUIRE_ALL);
            if required {
                lacking.env(REQUIRE_ALL, "1");
            }
            let output = lacking.output().unwrap();
            let said = [output.stderr, output.stdout].concat();
            (output.status.success(), String::from_utf8(said).unwrap())
        };
        let (passed, said) = run(false);
        assert!(passed, "{said}");
        for lack in [
            "needs a moon, which cannot be installed",
            "needs a whale, which WITH_WHALE=1 scripts/",
            "needs no-such-program, which scripts/",
        ] {
            assert!(said.contains(lack), "{said}");
        }
        let (passed, said) = run(true);
        assert!(!passed && said.contains("needs no-such-program") && said.contains("is set"), "{said}");
    }
}
