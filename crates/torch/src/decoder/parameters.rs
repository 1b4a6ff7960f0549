//! Where the parameters of a decoder come from.

use model::decoder::description::Parameter;
use model::weights::WeightsError;
use tch::nn::{Init, Path};
use tch::{TchError, Tensor};

use super::warm_start::WarmStart;
use crate::weights::NamedTensors;

/// Parameters by name and shape: drawn anew into a store, or those that are there, of which none is larger than what was
/// read, whatever sizes a header names.
#[derive(Debug)]
pub enum Parameters<'a> {
    /// Drawn anew, below a path of a store.
    Fresh(Path<'a>),
    /// Those that are there.
    Given(&'a NamedTensors),
    /// Drawn anew, below a path from the root of a store; then what another decoder has learnt takes their place.
    Warm(Path<'a>, &'a WarmStart<'a>),
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
    /// The tensor of a parameter; `init` says how it is drawn.
    pub(super) fn get(&self, parameter: &Parameter, init: Init) -> Result<Tensor, BuildError> {
        let Parameter { name, shape, by_word, .. } = parameter;
        match self {
            Parameters::Fresh(path) => Ok(draw(path, name, shape, init)?),
            Parameters::Given(tensors) => Ok(tensors.get(name, shape)?),
            Parameters::Warm(path, start) => {
                let drawn = draw(path, name, shape, init)?;
                start.fill(&drawn, name, *by_word)?;
                Ok(drawn)
            }
        }
    }
}

/// A new variable; what stands before dots in its name are the parts of the path to it.
fn draw(path: &Path, name: &str, shape: &[i64], init: Init) -> Result<Tensor, TchError> {
    let mut parts: Vec<&str> = name.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    parts.into_iter().fold(path.clone(), |path, part| path / part).f_var(last, shape, init)
}

impl<'a> From<&Path<'a>> for Parameters<'a> {
    fn from(path: &Path<'a>) -> Self {
        Parameters::Fresh(path.clone())
    }
}

impl<'a> From<&'a NamedTensors> for Parameters<'a> {
    fn from(tensors: &'a NamedTensors) -> Self {
        Parameters::Given(tensors)
    }
}

impl<'a> From<(&Path<'a>, &'a WarmStart<'a>)> for Parameters<'a> {
    fn from((path, start): (&Path<'a>, &'a WarmStart<'a>)) -> Self {
        Parameters::Warm(path.clone(), start)
    }
}
