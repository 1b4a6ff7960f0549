//! What a process says of the library that it is told to use. A process loads one library for good, so that each case
//! has its own: this test program again.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The case of the child.
#[test]
#[ignore = "run by the other tests, each with a library of its own"]
fn child() {
    match onnx::library::check() {
        Ok(()) => println!("loaded"),
        Err(error) => println!("error: {error}"),
    }
}

/// What a process says that is told to use `library`; that it ends in good order; and that it says nothing else.
fn said(library: impl AsRef<OsStr>) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child", "--ignored", "--nocapture"]).env(onnx::library::VARIABLE, library);
    child.env_remove("ORT_DISABLE_TELEMETRY");
    let output = child.output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && error.is_empty(), "{:?}: {out}{error}", output.status);
    let line = out.lines().find_map(|line| line.strip_prefix("error: "));
    line.unwrap_or_else(|| out.lines().find(|line| *line == "loaded").unwrap_or(&out)).to_owned()
}

/// A library of one function, as ONNX Runtime has it, that states the given version and can do nothing.
#[cfg(target_os = "linux")]
fn stub(folder: &Path, version: &str) -> PathBuf {
    let (source, library) = (folder.join("stub.rs"), folder.join(format!("libstub-{version}.so")));
    let code = r#"
        #[repr(C)]
        pub struct Base(extern "C" fn(u32) -> *const u8, extern "C" fn() -> *const u8);
        extern "C" fn api(_: u32) -> *const u8 { std::ptr::null() }
        extern "C" fn version() -> *const u8 { "VERSION\0".as_ptr() }
        static BASE: Base = Base(api, version);
        #[unsafe(no_mangle)]
        pub extern "C" fn OrtGetApiBase() -> &'static Base { &BASE }
    "#;
    std::fs::write(&source, code.replace("VERSION", version)).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--crate-name", "stub", "--crate-type", "cdylib", "--edition", "2024", "-o"]);
    let output = rustc.arg(&library).arg(&source).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

#[test]
fn the_library_of_the_checkout_is_found() {
    assert_eq!(said(""), "loaded");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let line = said("/nowhere/libonnxruntime.so");
    assert!(line.contains("ORT_DYLIB_PATH names /nowhere/libonnxruntime.so, which is not there"), "{line}");
    assert!(line.contains("scripts/get-onnxruntime.sh"), "{line}");
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("libonnxruntime.so");
    assert!(said(folder.path()).contains("is no ONNX Runtime that this machine can load: it is no file"));
    for content in [&b""[..], b"just text", &b"longer text\n".repeat(1000)] {
        std::fs::write(&place, content).unwrap();
        let line = said(&place);
        assert!(line.contains("is no ONNX Runtime that this machine can load"), "{line}");
        assert_eq!(line.matches(place.to_str().unwrap()).count(), 1, "{line}");
    }
}

#[test]
fn a_cut_library_is_refused() {
    let Ok(whole) =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.onnxruntime/lib/libonnxruntime.so"))
    else {
        return; // the library in use is another
    };
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("libonnxruntime.so");
    for length in [64, 1000, whole.len() / 2, whole.len() * 9 / 10] {
        std::fs::write(&place, &whole[..length]).unwrap();
        let line = said(&place);
        assert!(line.contains("it is cut short"), "{length}: {line}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn another_library_is_refused() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let other =
        maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| path.contains("libc"));
    let line = said(other.unwrap());
    assert!(line.contains("it is another library"), "{line}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_that_is_too_old_is_told_from_its_version() {
    let folder = tempfile::tempdir().unwrap();
    for version in ["1.16.3", "1.22.1", "0.5.0", "1", "one"] {
        let line = said(stub(folder.path(), version));
        assert!(line.contains(&format!("is ONNX Runtime {version}, and 1.23 or newer is needed")), "{line}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_that_reports_on_its_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let line = said(stub(folder.path(), "1.32.0"));
    assert!(line.contains("is ONNX Runtime 1.32, which reports on its use to Microsoft"), "{line}");
    assert!(line.contains("ORT_DISABLE_TELEMETRY=1"), "{line}");
}
