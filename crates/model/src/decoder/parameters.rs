//! Where the parameters of a decoder come from.

use std::fmt::Display;
use std::ops::Div;

use tch::nn::{Init, Path};
use tch::{TchError, Tensor};

use super::warm_start::WarmStart;
use crate::weights::{NamedTensors, WeightsError};

/// Parameters by name and shape: drawn anew into a store, or those that are there, of which none is larger than what was
/// read, whatever sizes a header names.
///
/// A part that has a row per word of the vocabulary is asked for `by_word`, and what is known of a word
/// elsewhere is found again by that alone.
#[derive(Debug)]
pub enum Parameters<'a> {
    /// Drawn anew, below a path of a store.
    Fresh(Path<'a>),
    /// Those that are there, below a prefix.
    Given(&'a NamedTensors, String),
    /// Drawn anew, below a path from the root of a store; then what another decoder has learnt takes their place.
    Warm {
        /// Where they are drawn.
        path: Path<'a>,
        /// What was learnt.
        start: &'a WarmStart<'a>,
        /// Whether the first dimension is the vocabulary.
        by_word: bool,
    },
}

/// A decoder that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A parameter is absent, or of another shape.
    #[error(transparent)]
    Given(#[from] WeightsError),
    /// libtorch refused to draw one.
    #[error(transparent)]
    Torch(#[from] TchError),
}

impl<'a> Parameters<'a> {
    /// The same parameters where the first dimension is the vocabulary.
    pub(super) fn by_word(&self) -> Parameters<'a> {
        match self {
            Parameters::Fresh(path) => Parameters::Fresh(path.clone()),
            Parameters::Given(tensors, prefix) => Parameters::Given(tensors, prefix.clone()),
            Parameters::Warm { path, start, .. } => {
                Parameters::Warm { path: path.clone(), start, by_word: true }
            }
        }
    }

    /// The parameter `name` of this shape; `init` says how it is drawn.
    pub(super) fn get(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, BuildError> {
        match self {
            Parameters::Fresh(path) => Ok(path.f_var(name, shape, init)?),
            Parameters::Given(tensors, prefix) => Ok(tensors.get(&format!("{prefix}{name}"), shape)?),
            Parameters::Warm { path, start, by_word } => {
                let parameter = path.f_var(name, shape, init)?;
                start.fill(&parameter, &path.path(name), *by_word)?;
                Ok(parameter)
            }
        }
    }
}

impl<'a> From<&Path<'a>> for Parameters<'a> {
    fn from(path: &Path<'a>) -> Self {
        Parameters::Fresh(path.clone())
    }
}

impl<'a> From<&'a NamedTensors> for Parameters<'a> {
    fn from(tensors: &'a NamedTensors) -> Self {
        Parameters::Given(tensors, String::new())
    }
}

impl<'a> From<(&Path<'a>, &'a WarmStart<'a>)> for Parameters<'a> {
    fn from((path, start): (&Path<'a>, &'a WarmStart<'a>)) -> Self {
        Parameters::Warm { path: path.clone(), start, by_word: false }
    }
}

/// Those of a part.
impl<'a, T: Display> Div<T> for &Parameters<'a> {
    type Output = Parameters<'a>;

    fn div(self, part: T) -> Parameters<'a> {
        match self {
            Parameters::Fresh(path) => Parameters::Fresh(path / part.to_string()),
            Parameters::Given(tensors, prefix) => Parameters::Given(tensors, format!("{prefix}{part}.")),
            Parameters::Warm { path, start, by_word } => {
                Parameters::Warm { path: path / part.to_string(), start, by_word: *by_word }
            }
        }
    }
}

impl<'a, T: Display> Div<T> for Parameters<'a> {
    type Output = Parameters<'a>;

    fn div(self, part: T) -> Parameters<'a> {
        &self / part
    }
}
