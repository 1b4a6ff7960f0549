//! The shared library of ONNX Runtime: where it is looked for, and what is wrong with it.
//!
//! It is loaded as the program runs, so that programs start without it and say in one line what is missing. In this
//! order:
//!
//! 1. the file that the environment variable `ORT_DYLIB_PATH` names, and then no other;
//! 2. beside the running program, in `lib` beside its folder, and in `.onnxruntime/lib` in its folder;
//! 3. in `.onnxruntime/lib` of the checkout in whose `target` folder the program was built;
//! 4. where the system looks for its libraries.
//!
//! The first file that there is must do: one that is broken or too old is an error, not passed over. So is one that may
//! report on its use before it can be told not to, unless the environment says `ORT_DISABLE_TELEMETRY=1`.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::elf;

/// From this minor version on the libraries in PyPI's wheels hold telemetry, which starts, and writes an identity of the
/// machine into the home folder, before there is an environment to switch it off in.
const REPORTS_SINCE: u32 = 29;

/// What the loaders of Linux and macOS say when memory is refused.
const NO_ROOM: [&str; 3] =
    ["failed to map segment", "cannot allocate memory", "cannot create shared object descriptor"];

/// The environment variable that names the library's file.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";

/// Why ONNX Runtime cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// It is in none of the places.
    #[error(
        "ONNX Runtime is missing: {file} is neither in {} nor where the system looks for libraries; \
         run scripts/get-onnxruntime.sh, or name the library's file in {VARIABLE}",
        list(places)
    )]
    NotFound {
        /// The name of the file.
        file: String,
        /// The folders looked into.
        places: Vec<PathBuf>,
    },
    /// The environment variable names a file that is not there.
    #[error(
        "{VARIABLE} names {}, which is not there: \
         correct it, or leave it unset and run scripts/get-onnxruntime.sh",
        path.display()
    )]
    NamedMissing {
        /// What the variable says.
        path: PathBuf,
    },
    /// The file is damaged, another library, or one for another kind of machine.
    #[error(
        "{} is no ONNX Runtime that this machine can load: {reason}; \
         remove it and run scripts/get-onnxruntime.sh, or name another in {VARIABLE}",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no room for it.
    #[error("there is not enough memory to load {}", .0.display())]
    Memory(PathBuf),
    /// Its version is not new enough.
    #[error(
        "{} is ONNX Runtime {found}, and {needed} or newer is needed: \
         remove it and run scripts/get-onnxruntime.sh, or name a newer one in {VARIABLE}",
        path.display()
    )]
    TooOld {
        /// The file.
        path: PathBuf,
        /// The version that the library states.
        found: String,
        /// The oldest version that serves.
        needed: String,
    },
    /// It would report on its use before it can be told not to.
    #[error(
        "{} is ONNX Runtime {found}, which reports on its use to Microsoft unless the environment says \
         ORT_DISABLE_TELEMETRY=1: set it, or run scripts/get-onnxruntime.sh",
        path.display()
    )]
    Reports {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// It is loaded and the right version, but does not start.
    #[error("ONNX Runtime does not start: {reason}")]
    Start {
        /// Its own word.
        reason: String,
    },
}

/// Loads the library, unless this process has it already.
///
/// Everything else of this crate does so by itself; a program that is going to need it calls this first to fail early.
///
/// # Errors
///
/// It is not found, broken, too old or may report on its use. The answer stays the same for the life of the process.
pub fn check() -> Result<(), LibraryError> {
    environment().map(|_| ())
}

/// What every session of the process is made in; there can be only one.
pub(crate) fn environment() -> Result<&'static Environment, LibraryError> {
    static LOADED: LazyLock<Result<Environment, LibraryError>> = LazyLock::new(|| open(&find()?));
    LOADED.as_ref().map_err(Clone::clone)
}

/// The library's file, or its bare name where the system is to look for it.
fn find() -> Result<PathBuf, LibraryError> {
    // An empty variable is how many shells and service files say "unset".
    if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        // Left relative, it would be looked for beside the program first.
        let path = std::path::absolute(&named).unwrap_or_else(|_| PathBuf::from(&named));
        return if path.exists() { Ok(path) } else { Err(LibraryError::NamedMissing { path }) };
    }
    let file = file_name();
    let Ok(program) = std::env::current_exe() else {
        // ort asks for it too before it turns to the system, and panics without an answer.
        return Err(LibraryError::NotFound { file, places: vec![] });
    };
    let mut found = places(&program).into_iter().map(|place| place.join(&file));
    Ok(found.find(|path| path.exists()).unwrap_or_else(|| file.into()))
}

/// `libonnxruntime.so`, or what it is called on this system.
fn file_name() -> String {
    format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}")
}

/// The folders to look into, by where the running program is.
fn places(program: &Path) -> Vec<PathBuf> {
    let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let Some(folder) = program.parent() else { return vec![] };
    let ours = Path::new(".onnxruntime").join("lib");
    let mut places = vec![folder.to_owned()];
    places.extend(folder.parent().map(|above| above.join("lib")));
    places.push(folder.join(&ours));
    // Not just any folder above: one that anyone may write to, such as /tmp, would lend its library to all below.
    let target = folder.ancestors().find(|above| above.file_name().is_some_and(|name| name == "target"));
    places.extend(target.and_then(Path::parent).map(|checkout| checkout.join(&ours)));
    places
}

/// Loads the library and starts it. Once this has succeeded, further calls in the process know no other library.
fn open(path: &Path) -> Result<Environment, LibraryError> {
    let bare = path.components().count() == 1;
    let unusable = |reason: String| LibraryError::Unusable { path: path.into(), reason: one_line(&reason) };
    if !bare {
        elf::check(path).map_err(|reason| unusable(reason.into()))?;
    }
    match ort::util::probe(path) {
        Some(minor) if minor >= REPORTS_SINCE && !told_not_to_report() => {
            return Err(LibraryError::Reports { path: path.into(), found: format!("1.{minor}") });
        }
        _ => {} // what is no ONNX Runtime gets its error below
    }
    let builder = ort::init_from(path).map_err(|error| match error {
        LoadDynamicError::Dlopen { .. } if bare => LibraryError::NotFound {
            file: file_name(),
            places: std::env::current_exe().map(|program| places(&program)).unwrap_or_default(),
        },
        LoadDynamicError::Dlopen { error, .. } => {
            // The loader's own word is behind "dlopen failed", and begins with the path.
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            if NO_ROOM.iter().any(|words| reason.to_lowercase().contains(words)) {
                return LibraryError::Memory(path.into());
            }
            let path = format!("{}: ", path.display());
            unusable(reason.strip_prefix(&path).map(ToOwned::to_owned).unwrap_or(reason))
        }
        LoadDynamicError::MissingApi { .. } => unusable("it is another library".into()),
        LoadDynamicError::InvalidVersionString => unusable("it does not state its version".into()),
        LoadDynamicError::BadVersion { version_str, path } => {
            LibraryError::TooOld { path, found: version_str, needed: format!("1.{}", ort::MINOR_VERSION) }
        }
    })?;
    let start = |error: ort::Error| LibraryError::Start { reason: one_line(error.message()) };
    // What goes wrong comes back as an error; what it would print besides belongs to no user of a program.
    let silent = Arc::new(|_: LogLevel, _: &str, _: &str, _: &str, _: &str| {});
    let environment =
        builder.with_name("onnx").with_telemetry(false).with_logger(silent).build().map_err(start)?;
    // Otherwise every message is composed in full before it is dropped.
    environment.set_log_level(LogLevel::Fatal);
    Ok(environment)
}

/// Whether the environment holds what ONNX Runtime takes for "no telemetry".
fn told_not_to_report() -> bool {
    let said = std::env::var("ORT_DISABLE_TELEMETRY").unwrap_or_default().to_lowercase();
    ["1", "true", "yes", "on"].contains(&said.as_str())
}

/// What a library says in several lines, in one.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Folders as a message lists them.
fn list(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_looked_for_beside_the_program_and_in_the_checkout_that_built_it() {
        let folders = |program: &str| {
            let places = places(Path::new(program));
            places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            folders("/opt/x/bin/caption"),
            ["/opt/x/bin", "/opt/x/lib", "/opt/x/bin/.onnxruntime/lib"]
        );
        for program in
            ["release/caption", "debug/deps/onnx-1", "debug/examples/e", "x86_64-linux/release/caption"]
        {
            let found = folders(&format!("/home/me/repository/target/{program}"));
            assert_eq!(found.last().unwrap(), "/home/me/repository/.onnxruntime/lib", "{program}");
        }
    }

    #[test]
    fn every_error_is_one_line() {
        let path = PathBuf::from("/x");
        let text = || "1".to_owned();
        for error in [
            LibraryError::NotFound { file: file_name(), places: vec![path.clone(), "/y".into()] },
            LibraryError::NamedMissing { path: path.clone() },
            LibraryError::Memory(path.clone()),
            LibraryError::Unusable { path: path.clone(), reason: one_line("it\nis\n  text") },
            LibraryError::TooOld { path: path.clone(), found: text(), needed: text() },
            LibraryError::Reports { path, found: text() },
            LibraryError::Start { reason: text() },
        ] {
            let line = error.to_string();
            assert!(!line.contains('\n') && !line.contains("  "), "{line}");
        }
    }
}
