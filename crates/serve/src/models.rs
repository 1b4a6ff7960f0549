//! Which version of the model is served, and how a newer one takes its place.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use caption::{CaptionError, Captioner, DefaultModel, Options};

use crate::error::{self, ServeError};
use crate::metrics::Metrics;
use crate::threads::BackOff;

const FILE: &str = "model.safetensors";
/// TensorFlow's label for the version that is served.
const LABEL: &str = "stable";

/// A loaded version. Requests hold on to the one that they began with.
pub(crate) struct Served {
    pub(crate) version: u64,
    pub(crate) captioner: Captioner,
}

/// Where models come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// One file, which may be replaced.
    File(PathBuf),
    /// `<folder>/<version>/model.safetensors`.
    Versions(PathBuf),
    /// What [`caption::default_model`] chooses.
    Default,
}

/// A file as it was found: when any of this changes, it is another model.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    path: PathBuf,
    /// Said by its folder.
    version: Option<u64>,
    /// Why this one, for the log.
    why: &'static str,
    modified: SystemTime,
    bytes: u64,
}

/// No model to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} holds no version: expected folders named by numbers with a {FILE} each", .0.display())]
    NoVersion(PathBuf),
    #[error(transparent)]
    Caption(Box<CaptionError>),
    #[error("{}: loading it met a bug of the program: {reason}", path.display())]
    Panicked { path: PathBuf, reason: String },
}

impl From<CaptionError> for ModelError {
    fn from(error: CaptionError) -> ModelError {
        ModelError::Caption(Box::new(error))
    }
}

/// The served version, and the watch for a newer one.
pub(crate) struct Models {
    name: String,
    source: Source,
    options: Options,
    served: RwLock<Arc<Served>>,
    looked: Mutex<Looked>,
}

/// What the watch for a newer version knows.
struct Looked {
    /// What is served.
    loaded: Found,
    failed: Option<Failed>,
}

/// A newer version that could not be loaded, and is tried again: what failed may have been the system, not the file.
struct Failed {
    found: Found,
    back_off: BackOff,
    again: Instant,
}

impl Source {
    pub(crate) fn of(path: Option<&Path>) -> Source {
        match path {
            None => Source::Default,
            Some(path) if path.is_dir() && !path.join(FILE).is_file() => Source::Versions(path.to_owned()),
            Some(path) if path.is_dir() => Source::File(path.join(FILE)),
            Some(path) => Source::File(path.to_owned()),
        }
    }

    fn find(&self) -> Result<Found, ModelError> {
        match self {
            Source::File(path) => found(path.clone(), None, "named"),
            Source::Default => {
                let DefaultModel { path, why } = caption::default_model(Path::new(""))?;
                found(path, None, why)
            }
            Source::Versions(folder) => {
                let read = |source| ModelError::Read { path: folder.clone(), source };
                let entries = std::fs::read_dir(folder).map_err(read)?.flatten();
                let versions = entries.filter_map(|entry| {
                    let version: u64 = entry.file_name().to_str()?.parse().ok()?;
                    let path = entry.path().join(FILE);
                    path.is_file().then_some((version, path))
                });
                let newest = versions.max().ok_or_else(|| ModelError::NoVersion(folder.clone()))?;
                found(newest.1, Some(newest.0), "the highest version")
            }
        }
    }
}

fn found(path: PathBuf, version: Option<u64>, why: &'static str) -> Result<Found, ModelError> {
    let read = |source| ModelError::Read { path: path.clone(), source };
    let metadata = std::fs::metadata(&path).map_err(read)?;
    let modified = metadata.modified().map_err(read)?;
    Ok(Found { version, why, modified, bytes: metadata.len(), path })
}

impl Models {
    /// Loads the model that is there now.
    pub(crate) fn open(name: String, source: Source, options: Options) -> Result<Models, ModelError> {
        let found = source.find()?;
        let captioner = load(&found.path, &options)?;
        let version = found.version.unwrap_or(1);
        tracing::info!(model = %found.path.display(), version, why = found.why, "model loaded");
        let served = RwLock::new(Arc::new(Served { version, captioner }));
        Ok(Models {
            name,
            source,
            options,
            served,
            looked: Mutex::new(Looked { loaded: found, failed: None }),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn served(&self) -> Arc<Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The version that a client asks for.
    pub(crate) fn find(&self, name: &str, version: Option<u64>) -> Result<Arc<Served>, ServeError> {
        let served = self.served();
        if name != self.name {
            let ours = &self.name;
            return Err(ServeError::NotFound(format!(
                "there is no model {name:?} here: its name is {ours:?}"
            )));
        }
        match version {
            Some(version) if version != served.version => {
                let ours = served.version;
                Err(ServeError::NotFound(format!("version {version} of {name} is not served: {ours} is")))
            }
            _ => Ok(served),
        }
    }

    /// The version that carries a label of TensorFlow's.
    pub(crate) fn labelled(&self, name: &str, label: &str) -> Result<Arc<Served>, ServeError> {
        match label {
            LABEL => self.find(name, None),
            other => Err(ServeError::NotFound(format!(
                "no version is labelled {other:?}: the served one is {LABEL:?}"
            ))),
        }
    }

    /// What is wrong with the newest version that lies there, if it is not the one that is served.
    pub(crate) fn problem(&self) -> Option<String> {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let version = looked.failed.as_ref()?.found.version;
        let newer = version.map_or("the newer model".to_owned(), |version| format!("version {version}"));
        Some(format!("{newer} cannot be loaded, and is tried again: the log says why"))
    }

    /// Looks for a newer model now and then, for as long as the process lives.
    pub(crate) fn watch(&self, every: Duration, metrics: &Metrics) {
        loop {
            std::thread::sleep(every);
            match self.reload(every) {
                Ok(None) => {}
                Ok(Some((Found { path, why, .. }, version))) => {
                    metrics.version.set(version as i64);
                    metrics.loads.with_label_values(&["ok"]).inc();
                    // Said last: whoever reads it finds everything as it says.
                    tracing::info!(model = %path.display(), version, why, "newer model loaded");
                }
                Err(error) => {
                    metrics.loads.with_label_values(&["failed"]).inc();
                    let (error, version) = (error::line(&error), self.served().version);
                    tracing::error!(error, version, "cannot load the newer model; the old one stays");
                }
            }
        }
    }

    /// Loads what is there if it is not what is served, and serves it from the next request on: the file and its version.
    /// Requests under way keep theirs. What failed rests for `every` at first, unless it changes.
    fn reload(&self, every: Duration) -> Result<Option<(Found, u64)>, ModelError> {
        // Between two versions there may be none for a moment.
        let Ok(found) = self.source.find() else { return Ok(None) };
        let failed = {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.loaded == found {
                looked.failed = None;
                return Ok(None);
            }
            let same = looked.failed.as_ref().is_some_and(|failed| failed.found == found);
            if same && looked.failed.as_ref().is_some_and(|failed| Instant::now() < failed.again) {
                return Ok(None);
            }
            looked.failed.take_if(|_| same)
        };
        let version = found.version.unwrap_or_else(|| self.served().version + 1);
        let loaded = load(&found.path, &self.options);
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(captioner) => {
                *self.served.write().unwrap_or_else(PoisonError::into_inner) =
                    Arc::new(Served { version, captioner });
                *looked = Looked { loaded: found.clone(), failed: None };
                Ok(Some((found, version)))
            }
            Err(error) => {
                let mut back_off = failed.map_or(BackOff::new(every), |failed| failed.back_off);
                let again = Instant::now() + back_off.rest();
                looked.failed = Some(Failed { found, back_off, again });
                Err(error)
            }
        }
    }
}

/// Loads a model. Whatever its file holds, the thread that asks goes on.
fn load(path: &Path, options: &Options) -> Result<Captioner, ModelError> {
    let open = || {
        let captioner = Captioner::open(path, options)?;
        // The first request waits no longer than the others.
        captioner.prepare()?;
        Ok(captioner)
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(loaded) => loaded,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
            Err(ModelError::Panicked { path: path.to_owned(), reason: text.to_owned() })
        }
    }
}
