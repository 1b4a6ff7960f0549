//! The models of a server, each under its name: which version of each is served, and how a newer one takes its place.

mod model;
mod place;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use caption::{CaptionError, Options};

use crate::error::ServeError;
use crate::metrics::Metrics;

use model::Model;
pub(crate) use model::Served;
#[cfg(test)]
pub(crate) use place::KEPT;
pub(crate) use place::Place;

/// TensorFlow's label for the version that is served.
const STABLE: &str = "stable";
/// The same as Ollama writes it.
const LATEST: &str = "latest";

/// No model to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "{} holds no model: expected {file}, folders of versions named by numbers, or folders and files named by \
         their models", folder.display(), file = place::FILE
    )]
    None { folder: PathBuf },
    #[error("{name:?} is no name of a model: {reason}")]
    Name { name: String, reason: &'static str },
    #[error("two models are named {0:?}: give each a name of its own, NAME=PATH")]
    Twice(String),
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

/// All of them, at least one; the first is meant where a request names none.
pub(crate) struct Models(Vec<Model>);

impl Models {
    /// Loads the models that are there now.
    pub(crate) fn open(
        places: Vec<Place>,
        options: &Options,
        metrics: &Metrics,
    ) -> Result<Models, ModelError> {
        let mut names: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ModelError::Twice(twice[0].to_owned()));
        }
        let open = |place: Place| Model::open(place, options.clone(), metrics);
        places.into_iter().map(open).collect::<Result<_, _>>().map(Models)
    }

    /// What is served of each model, the first being that of requests that name none.
    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<Served>> {
        self.0.iter().map(Model::served)
    }

    /// What is served to a request that names no model.
    pub(crate) fn default(&self) -> Arc<Served> {
        self.0[0].served()
    }

    /// The version that a client asks for.
    pub(crate) fn find(&self, name: &str, version: Option<u64>) -> Result<Arc<Served>, ServeError> {
        let Some(model) = self.0.iter().find(|model| model.name() == name) else {
            let names: Vec<&str> = self.0.iter().map(Model::name).collect();
            let ours = match names.as_slice() {
                [one] => format!("its name is {one:?}"),
                several => format!("there are {}", several.join(", ")),
            };
            return Err(ServeError::NotFound(format!("there is no model {name:?} here: {ours}")));
        };
        let served = model.served();
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
            STABLE => self.find(name, None),
            other => Err(ServeError::NotFound(format!(
                "no version is labelled {other:?}: the served one is {STABLE:?}"
            ))),
        }
    }

    /// A model by one word: its name, and behind a colon its version or what stands for the served one, `caption:latest`.
    pub(crate) fn tagged(&self, word: &str) -> Result<Arc<Served>, ServeError> {
        match word.split_once(':') {
            None | Some((_, "")) => self.find(word.trim_end_matches(':'), None),
            Some((name, STABLE | LATEST)) => self.find(name, None),
            Some((name, tag)) => {
                self.find(name, None)?;
                let version = tag.parse().map_err(|_| {
                    let behind = format!("behind the colon stands its number, or {LATEST}");
                    ServeError::NotFound(format!("{name} has no version {tag:?}: {behind}"))
                })?;
                self.find(name, Some(version))
            }
        }
    }

    /// What is wrong with the newest versions that lie there, where they are not those that are served.
    pub(crate) fn problems(&self) -> impl Iterator<Item = String> {
        let several = self.0.len() > 1;
        self.0.iter().filter_map(move |model| {
            let problem = model.problem()?;
            Some(if several { format!("{}: {problem}", model.name()) } else { problem })
        })
    }

    /// Looks for newer versions now and then, for as long as the process lives.
    pub(crate) fn watch(&self, every: Duration, metrics: &Metrics) {
        loop {
            std::thread::sleep(every);
            self.0.iter().for_each(|model| model.look(every, metrics));
        }
    }
}
