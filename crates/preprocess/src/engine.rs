//! The two engines that run a backbone, behind one face: libtorch and ONNX Runtime.
//!
//! They differ by rounding, so which one made a set is in its recipe.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use artifacts::features::FeatureSpec;
use half::f16;
use half::slice::HalfFloatSliceExt;
use model::backbone::BackboneSpec;
use model::grids::{SpecError, transform};
use model::weights::{self, NamedArrays, WeightsError};
use onnx::{ForeignBackbone, ForeignError, LibraryError, OnnxError};
use serde::{Deserialize, Serialize};
use torch::backbone::{Backbone, Placement};
use torch::grids::{Extractor, GridError};
use torch::precision::Precision;

/// Which engine runs the networks, as the config has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// ONNX Runtime for f32 on a CPU, libtorch for bf16 and on GPUs.
    #[default]
    Auto,
    /// libtorch.
    Torch,
    /// ONNX Runtime, for f32 on a CPU.
    Onnx,
}

impl EngineChoice {
    /// The engine for a placement. It is not timed, and does not hang on the processor: machines that make parts of one set
    /// must choose alike.
    ///
    /// On two cores, in turns, the best of 3 or 4 turns each:
    ///
    /// | f32 | `torch` | `onnx` |
    /// |---|---|---|
    /// | AVX-512, EfficientNet-Lite0, 1,000 files | 124 images/s, 15.2 s of processor time | 184 images/s, 10.3 s |
    /// | AVX-512, EfficientNet-B0, 1,000 files | 18.1 s | 15.1 s |
    /// | AVX-512, EfficientNet-B0, 120 files, start included | 92 images/s | 98 images/s |
    /// | AVX-512, ResNet-50, 120 files, start included | 28.8 images/s, 7.4 s | 32.8 images/s, 6.8 s |
    /// | AVX2, EfficientNet-Lite0, the network alone | 87 images/s | 112–154 images/s |
    /// | AVX2, ResNet-50, the network alone | 17.7 images/s | 19.2–19.8 images/s |
    pub(crate) fn on(self, placement: Placement) -> Engine {
        let fits = !placement.device().is_cuda() && placement.precision() == Precision::F32;
        match self {
            EngineChoice::Onnx => Engine::Onnx,
            EngineChoice::Auto if fits => Engine::Onnx,
            EngineChoice::Auto | EngineChoice::Torch => Engine::Torch,
        }
    }

    /// Why it cannot compute what the other settings ask for.
    pub(crate) fn problem(self, precision: Precision, on_gpu: bool) -> Option<&'static str> {
        match self {
            EngineChoice::Onnx if precision != Precision::F32 => Some(
                "\"onnx\" computes with f32 alone: take \"torch\" or \"auto\", or preprocess.precision = \"f32\"",
            ),
            EngineChoice::Onnx if on_gpu => {
                Some("\"onnx\" computes on CPUs alone: take \"torch\" or \"auto\", or --device cpu")
            }
            _ => None,
        }
    }
}

/// The engine that runs the networks of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Torch,
    Onnx,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Torch => "libtorch",
            Engine::Onnx => "ONNX Runtime",
        })
    }
}

impl Engine {
    /// Whether its library is there. That of libtorch is, or this program would not have begun.
    pub(crate) fn check(self) -> Result<(), LibraryError> {
        match self {
            Engine::Torch => Ok(()),
            Engine::Onnx => onnx::library::check(),
        }
    }

    /// Images in one pass of the network: few on a CPU, where the activations of a batch should stay in cache. ONNX Runtime is
    /// as fast with 4 as with 8.
    pub(crate) fn at_once(self, on_gpu: bool) -> usize {
        match self {
            _ if on_gpu => 64,
            Engine::Torch => 8,
            Engine::Onnx => 4,
        }
    }
}

/// Why an engine gives no features.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Torch(#[from] GridError),
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    #[error("{file}: {error}")]
    Foreign { file: String, error: Box<ForeignError> },
}

/// A backbone with its weights, as an engine takes them. Clones share them; each becomes a thread's [`Worker`].
#[derive(Clone)]
pub(crate) enum Network {
    Torch(Extractor),
    Onnx(Arc<OnnxFile>),
    Foreign(Arc<ForeignFile>),
}

/// A network of others with what it makes.
pub(crate) struct ForeignFile {
    file: weights::OnnxFile,
    spec: FeatureSpec,
}

/// A network for ONNX Runtime with the shape of its grids.
pub(crate) struct OnnxFile {
    bytes: Vec<u8>,
    side: u32,
    regions: usize,
    channels: usize,
    name: String,
}

impl Network {
    /// The network that makes features of `spec`.
    pub(crate) fn new(
        engine: Engine,
        backbone: &'static BackboneSpec,
        weights: &NamedArrays,
        spec: &FeatureSpec,
        placement: Placement,
    ) -> Result<Network, EngineError> {
        Ok(match engine {
            Engine::Torch => {
                Network::Torch(Extractor::new(spec, Backbone::build(backbone, weights, placement)?)?)
            }
            Engine::Onnx => {
                let side = transform(spec)?.crop;
                let bytes = onnx::backbone(backbone, weights, side)?;
                let (regions, channels, name) = (spec.regions(), spec.channels, spec.name());
                Network::Onnx(Arc::new(OnnxFile { bytes, side, regions, channels, name }))
            }
        })
    }

    /// The network of others that makes features of `spec`.
    pub(crate) fn foreign(file: &weights::OnnxFile, spec: &FeatureSpec) -> Network {
        Network::Foreign(Arc::new(ForeignFile { file: file.clone(), spec: spec.clone() }))
    }

    /// The network ready to run, on the thread that calls and on no other.
    pub(crate) fn worker(self) -> Result<Worker, EngineError> {
        Ok(match self {
            Network::Torch(extractor) => {
                torch::threads::single();
                Worker::Torch(extractor)
            }
            Network::Onnx(file) => {
                let backbone = onnx::Backbone::new(&file.bytes, file.side, NonZeroUsize::MIN)?;
                let OnnxFile { regions, channels, name, .. } = &*file;
                Worker::Onnx { backbone, regions: *regions, channels: *channels, name: name.clone() }
            }
            Network::Foreign(of) => {
                let ForeignFile { file, spec } = &*of;
                let output = spec.onnx.clone().unwrap_or_default();
                let (side, path) = (transform(spec)?.crop, file.path.display().to_string());
                let backbone = ForeignBackbone::new(file.bytes(), &output, side, NonZeroUsize::MIN)
                    .map_err(|error| foreign(&path, error))?;
                let (regions, channels, name) = (spec.regions(), spec.channels, spec.name());
                Worker::Foreign { backbone, path, regions, channels, name }
            }
        })
    }
}

fn foreign(path: &str, error: ForeignError) -> EngineError {
    EngineError::Foreign { file: path.to_owned(), error: Box::new(error) }
}

/// A network ready to run.
pub(crate) enum Worker {
    Torch(Extractor),
    Foreign { backbone: ForeignBackbone, path: String, regions: usize, channels: usize, name: String },
    Onnx { backbone: onnx::Backbone, regions: usize, channels: usize, name: String },
}

/// The features of a batch in half precision.
pub(crate) struct Halves {
    /// `[images × regions × channels]`
    pub(crate) grids: Vec<f16>,
    /// Their means over the regions, taken before rounding: `[images × channels]`.
    pub(crate) pooled: Vec<f16>,
}

impl Worker {
    /// Runs the network over normalised squares, `[squares × 3 × side × side]`.
    ///
    /// Batches of another size may round otherwise: whoever wants the very same bits for an image among any others fills
    /// its batches up, with zeros, say.
    pub(crate) fn features(&mut self, squares: &[f32]) -> Result<Halves, EngineError> {
        match self {
            Worker::Torch(extractor) => {
                let grids = extractor.grids(squares)?;
                Ok(Halves { grids: grids.halves()?, pooled: grids.pooled()? })
            }
            Worker::Onnx { backbone, regions, channels, name } => {
                let images = squares.len() / backbone.numbers();
                of_values(&backbone.grids(squares)?, images, [*regions, *channels], name)
            }
            Worker::Foreign { backbone, path, regions, channels, name } => {
                let images = squares.len() / backbone.numbers();
                let grids = backbone.grids(squares).map_err(|error| foreign(path, error))?;
                of_values(&grids.values, images, [*regions, *channels], name)
            }
        }
    }
}

/// Those of grids `[images × regions × channels]`.
fn of_values(
    values: &[f32],
    images: usize,
    [regions, channels]: [usize; 2],
    name: &str,
) -> Result<Halves, EngineError> {
    let wanted = images * regions * channels;
    if values.len() != wanted {
        let reason = format!("{} numbers come out, not {wanted}", values.len());
        return Err(SpecError::Spec { name: name.to_owned(), reason }.into());
    }
    let means = values.chunks(regions * channels).flat_map(|grid| mean(grid, channels));
    Ok(Halves { pooled: halves(&means.collect::<Vec<f32>>()), grids: halves(values) })
}

/// The mean over the regions of a grid `[regions × channels]`.
fn mean(grid: &[f32], channels: usize) -> Vec<f32> {
    let mut sums = vec![0.0f32; channels];
    for region in grid.chunks(channels) {
        sums.iter_mut().zip(region).for_each(|(sum, value)| *sum += value);
    }
    let regions = (grid.len() / channels) as f32;
    sums.iter_mut().for_each(|sum| *sum /= regions);
    sums
}

fn halves(values: &[f32]) -> Vec<f16> {
    let mut halves = vec![f16::ZERO; values.len()];
    halves.convert_from_f32_slice(values);
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_onnx_runtime_where_it_computes_and_is_faster() {
        let cpu = torch::device::parse("cpu").unwrap();
        let placement = Placement::from(cpu);
        assert_eq!(EngineChoice::Auto.on(placement), Engine::Onnx);
        assert_eq!(EngineChoice::Torch.on(placement), Engine::Torch);
        // Not every processor has bf16.
        if let Ok(bf16) = Placement::new(cpu, Precision::Bf16) {
            assert_eq!(EngineChoice::Auto.on(bf16), Engine::Torch);
        }
    }

    #[test]
    fn what_onnx_runtime_does_not_compute_is_refused_where_it_is_asked_for_by_name() {
        let refused = |choice: EngineChoice| {
            [(Precision::F32, false), (Precision::Bf16, false), (Precision::F32, true)]
                .map(|(precision, on_gpu)| choice.problem(precision, on_gpu).is_some())
        };
        assert_eq!(refused(EngineChoice::Onnx), [false, true, true]);
        assert_eq!(refused(EngineChoice::Auto), [false; 3]);
        assert_eq!(refused(EngineChoice::Torch), [false; 3]);
    }

    #[test]
    fn the_mean_is_taken_over_the_regions() {
        assert_eq!(mean(&[1.0, 2.0, 3.0, 6.0, 5.0, 1.0], 2), [3.0, 3.0]);
    }
}
