//! Where the parameters of a decoder come from.

use std::fmt::Display;
use std::ops::Div;

use tch::nn::{Init, Path};
use tch::{TchError, Tensor};

use crate::weights::{NamedTensors, WeightsError};

/// Parameters by name and shape: drawn anew into a store, or those that are there, of which none is larger than what was
/// read, whatever sizes a header names.
#[derive(Debug)]
pub enum Parameters<'a> {
    /// Drawn anew, below a path of a store.
    Fresh(Path<'a>),
    /// Those that are there, below a prefix.
    Given(&'a NamedTensors, String),
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

impl Parameters<'_> {
    /// The parameter `name` of this shape; `init` says how it is drawn.
    pub(super) fn get(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, BuildError> {
        match self {
            Parameters::Fresh(path) => Ok(path.f_var(name, shape, init)?),
            Parameters::Given(tensors, prefix) => Ok(tensors.get(&format!("{prefix}{name}"), shape)?),
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

/// Those of a part.
impl<'a, T: Display> Div<T> for &Parameters<'a> {
    type Output = Parameters<'a>;

    fn div(self, part: T) -> Parameters<'a> {
        match self {
            Parameters::Fresh(path) => Parameters::Fresh(path / part.to_string()),
            Parameters::Given(tensors, prefix) => Parameters::Given(tensors, format!("{prefix}{part}.")),
        }
    }
}

impl<'a, T: Display> Div<T> for Parameters<'a> {
    type Output = Parameters<'a>;

    fn div(self, part: T) -> Parameters<'a> {
        &self / part
    }
}
