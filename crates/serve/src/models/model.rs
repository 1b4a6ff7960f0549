//! One model: the version that is served, and the watch for a newer one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use caption::{Captioner, Options};

use super::ModelError;
use super::place::{Found, Place};
use crate::error;
use crate::machine;
use crate::metrics::Metrics;
use crate::threads::BackOff;

/// A loaded version. Requests hold on to the one that they began with.
pub(crate) struct Served {
    /// Name of its model.
    pub(crate) name: Arc<str>,
    pub(crate) version: u64,
    pub(crate) captioner: Captioner,
    /// When its file was written.
    pub(crate) modified: SystemTime,
    /// Size of its file.
    pub(crate) bytes: u64,
    /// BLAKE3 of its file, in hexadecimal digits.
    pub(crate) digest: String,
}

/// A model under its name.
pub(super) struct Model {
    name: Arc<str>,
    place: Place,
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

impl Model {
    /// Loads the file that is there now.
    pub(super) fn open(place: Place, options: Options, metrics: &Metrics) -> Result<Model, ModelError> {
        let name: Arc<str> = place.name.as_str().into();
        let found = place.find()?;
        let version = found.version.unwrap_or(1);
        let served = load(&name, version, &found, &options, metrics)?;
        tracing::info!(name = &*name, model = %found.path.display(), version, why = found.why, "model loaded");
        let served = RwLock::new(Arc::new(served));
        Ok(Model { name, place, options, served, looked: Mutex::new(Looked { loaded: found, failed: None }) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn served(&self) -> Arc<Served> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is wrong with the newest version that lies there, if it is not the one that is served.
    pub(super) fn problem(&self) -> Option<String> {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let version = looked.failed.as_ref()?.found.version;
        let newer = version.map_or("the newer model".to_owned(), |version| format!("version {version}"));
        Some(format!("{newer} cannot be loaded, and is tried again: the log says why"))
    }

    /// Takes up a newer file if there is one.
    pub(super) fn look(&self, every: Duration, metrics: &Metrics) {
        let name = &*self.name;
        match self.reload(every, metrics) {
            Ok(None) => {}
            Ok(Some((Found { path, why, .. }, version))) => {
                metrics.loads.with_label_values(&[name, "ok"]).inc();
                // Said last: whoever reads it finds everything as it says.
                tracing::info!(name, model = %path.display(), version, why, "newer model loaded");
            }
            Err(error) => {
                metrics.loads.with_label_values(&[name, "failed"]).inc();
                let (error, version) = (error::line(&error), self.served().version);
                tracing::error!(name, error, version, "cannot load the newer model; the old one stays");
            }
        }
    }

    /// Loads what is there if it is not what is served, and serves it from the next request on: the file and its version.
    /// Requests under way keep theirs. What failed rests for `every` at first, unless it changes.
    fn reload(&self, every: Duration, metrics: &Metrics) -> Result<Option<(Found, u64)>, ModelError> {
        // Between two versions there may be none for a moment.
        let Ok(found) = self.place.find() else { return Ok(None) };
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
        let loaded = load(&self.name, version, &found, &self.options, metrics);
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(served) => {
                *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
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

/// Loads a version, and counts what it takes.
fn load(
    name: &Arc<str>,
    version: u64,
    found: &Found,
    options: &Options,
    metrics: &Metrics,
) -> Result<Served, ModelError> {
    let before = machine::resident();
    let captioner = open(&found.path, options)?;
    let grown = machine::resident().saturating_sub(before);
    metrics.model_memory.with_label_values(&[name]).set(grown as i64);
    metrics.version.with_label_values(&[name]).set(version as i64);
    let Found { path, modified, bytes, .. } = found;
    let read = |source| ModelError::Read { path: path.clone(), source };
    let digest = caption::digest_file(path).map_err(read)?;
    let digest = digest.rsplit(':').next().unwrap_or_default().to_owned();
    Ok(Served { name: name.clone(), version, captioner, modified: *modified, bytes: *bytes, digest })
}

/// Opens a file. Whatever it holds, the thread that asks goes on.
fn open(path: &Path, options: &Options) -> Result<Captioner, ModelError> {
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
