//! EfficientNet (Tan & Le 2019, arXiv:1905.11946) in two families of weights that differ in more than size:
//!
//! - **B0–B4** as torchvision and timm's `efficientnet_b*` have them: squeeze-and-excitation, SiLU, PyTorch's padding
//!   and epsilon. timm's `tf_efficientnet_b*` are other models (TensorFlow's padding and epsilon) under the same
//!   tensor names: they build here, and give wrong features.
//! - **Lite0–Lite2** as TensorFlow published them and timm's `tf_efficientnet_lite*` has them: no
//!   squeeze-and-excitation, ReLU6, "SAME" padding, TensorFlow's epsilon. timm's `efficientnet_lite0` is another model.

use tch::{TchError, Tensor};

use super::conv::{Conv, Geometry, Padding, Source};
use super::efficientnet_names::{BlockNames, Naming};
use super::{Network, Placement};
use crate::weights::{NamedTensors, WeightsError};

/// Kernel, stride of the first block and expansion of the seven stages, the same in every variant.
const STAGES: [(i64, i64, i64); 7] =
    [(3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6)];

/// What the variants of a family share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    B,
    Lite,
}

impl Family {
    fn published_naming(self) -> Naming {
        match self {
            Self::B => Naming::Torchvision,
            Self::Lite => Naming::EfficientNetPytorch,
        }
    }

    /// Of every batch normalisation.
    fn epsilon(self) -> f64 {
        match self {
            Self::B => 1e-5,
            Self::Lite => 1e-3,
        }
    }

    fn geometry(self, inputs: i64, outputs: i64, kernel: i64, stride: i64, groups: i64) -> Geometry {
        let padding = match self {
            Self::B => Padding::Half,
            Self::Lite => Padding::Same,
        };
        Geometry { inputs, outputs, kernel, stride, groups, padding }
    }

    /// SiLU or ReLU6, in place.
    fn activate(self, mut tensor: Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::B => tensor.f_silu_(),
            Self::Lite => tensor.f_relu6_(),
        }
    }
}

/// What sets one network apart from another of its family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    family: Family,
    stem: i64,
    /// Output channels of the seven stages.
    channels: [i64; 7],
    /// Number of blocks of the seven stages.
    depths: [usize; 7],
    /// Channels of the grid.
    pub(super) head: i64,
}

const fn b(stem: i64, channels: [i64; 7], depths: [usize; 7]) -> Variant {
    Variant { family: Family::B, stem, channels, depths, head: 4 * channels[6] }
}

const fn lite(channels: [i64; 7], depths: [usize; 7]) -> Variant {
    Variant { family: Family::Lite, stem: 32, channels, depths, head: 1280 }
}

pub(super) const B0: Variant = b(32, [16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]);
pub(super) const B1: Variant = b(32, [16, 24, 40, 80, 112, 192, 320], [2, 3, 3, 4, 4, 5, 2]);
pub(super) const B2: Variant = b(32, [16, 24, 48, 88, 120, 208, 352], [2, 3, 3, 4, 4, 5, 2]);
pub(super) const B3: Variant = b(40, [24, 32, 48, 96, 136, 232, 384], [2, 3, 3, 5, 5, 6, 2]);
pub(super) const B4: Variant = b(48, [24, 32, 56, 112, 160, 272, 448], [2, 4, 4, 6, 6, 8, 2]);
pub(super) const LITE0: Variant = lite([16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]);
pub(super) const LITE1: Variant = lite([16, 24, 40, 80, 112, 192, 320], [1, 3, 3, 4, 4, 5, 1]);
pub(super) const LITE2: Variant = lite([16, 24, 48, 88, 120, 208, 352], [1, 3, 3, 4, 4, 5, 1]);

/// An EfficientNet without its classifier; the 1×1 head convolution is part of it.
#[derive(Clone, Debug)]
pub(super) struct EfficientNet {
    family: Family,
    stem: Conv,
    blocks: Vec<InvertedBottleneck>,
    head: Conv,
}

/// 1×1 expansion, depthwise convolution, squeeze-and-excitation, 1×1 projection without activation.
#[derive(Clone, Debug)]
struct InvertedBottleneck {
    family: Family,
    /// Absent when the block does not widen.
    expand: Option<Conv>,
    depthwise: Conv,
    excite: Option<SqueezeExcite>,
    project: Conv,
    /// Whether the input is added to the output: same shape on both sides.
    residual: bool,
}

/// Scales each channel by a share that the means of all channels decide (Hu et al. 2017, arXiv:1709.01507).
#[derive(Clone, Debug)]
struct SqueezeExcite {
    reduce: Conv,
    expand: Conv,
}

impl EfficientNet {
    /// Builds a variant from tensors named as its family was published, or as timm names them.
    pub(super) fn build(
        weights: &NamedTensors,
        placement: Placement,
        variant: Variant,
    ) -> Result<Box<dyn Network>, WeightsError> {
        let Variant { family, stem: stem_channels, channels, depths, head: head_channels } = variant;
        let naming = Naming::of(weights, family.published_naming());
        let source = Source { weights, epsilon: family.epsilon(), placement };
        let [conv, norm] = naming.stem();
        let stem = source.conv(conv, norm, family.geometry(3, stem_channels, 3, 2, 1))?;
        let mut blocks = Vec::new();
        let mut inputs = stem_channels;
        for (stage, (kernel, first_stride, expansion)) in STAGES.into_iter().enumerate() {
            let outputs = channels[stage];
            for index in 0..depths[stage] {
                let stride = if index == 0 { first_stride } else { 1 };
                let width = inputs * expansion;
                let depthwise = family.geometry(width, width, kernel, stride, width);
                let names = naming.block(stage, index, blocks.len(), expansion > 1);
                let block = InvertedBottleneck::build(&source, family, &names, inputs, depthwise, outputs)?;
                blocks.push(block);
                inputs = outputs;
            }
        }
        let [conv, norm] = naming.head();
        let head = source.conv(conv, norm, family.geometry(inputs, head_channels, 1, 1, 1))?;
        Ok(Box::new(Self { family, stem, blocks, head }))
    }
}

impl Network for EfficientNet {
    fn features(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let mut grid = self.family.activate(self.stem.forward(images)?)?;
        for block in &self.blocks {
            grid = block.forward(&grid)?;
        }
        self.family.activate(self.head.forward(&grid)?)
    }

    fn shallow_clone(&self) -> Box<dyn Network> {
        Box::new(self.clone())
    }
}

impl InvertedBottleneck {
    fn build(
        source: &Source<'_>,
        family: Family,
        names: &BlockNames,
        inputs: i64,
        depthwise: Geometry,
        outputs: i64,
    ) -> Result<Self, WeightsError> {
        let layer = |[conv, norm]: &[String; 2], geometry| source.conv(conv, norm, geometry);
        let width = depthwise.inputs;
        let expand = names.expand.as_ref().map(|names| layer(names, family.geometry(inputs, width, 1, 1, 1)));
        let excite = match family {
            Family::B => Some(SqueezeExcite::build(source, &names.excite, width, inputs / 4)?),
            Family::Lite => None,
        };
        Ok(Self {
            family,
            expand: expand.transpose()?,
            depthwise: layer(&names.depthwise, depthwise)?,
            excite,
            project: layer(&names.project, family.geometry(width, outputs, 1, 1, 1))?,
            residual: depthwise.stride == 1 && inputs == outputs,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let wide = match &self.expand {
            Some(expand) => self.family.activate(expand.forward(input)?)?,
            None => input.shallow_clone(),
        };
        let mut wide = self.family.activate(self.depthwise.forward(&wide)?)?;
        if let Some(excite) = &self.excite {
            wide = wide.f_mul_(&excite.forward(&wide)?)?;
        }
        let mut output = self.project.forward(&wide)?;
        if self.residual { output.f_add_(input) } else { Ok(output) }
    }
}

impl SqueezeExcite {
    fn build(
        source: &Source<'_>,
        [reduce, expand]: &[String; 2],
        channels: i64,
        squeezed: i64,
    ) -> Result<Self, WeightsError> {
        let geometry = |inputs, outputs| Family::B.geometry(inputs, outputs, 1, 1, 1);
        Ok(Self {
            reduce: source.biased_conv(reduce, geometry(channels, squeezed))?,
            expand: source.biased_conv(expand, geometry(squeezed, channels))?,
        })
    }

    /// The shares: `[batch, channels, height, width]` to `[batch, channels, 1, 1]`.
    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let means = input.f_adaptive_avg_pool2d([1, 1])?;
        self.expand.forward(&self.reduce.forward(&means)?.f_silu_()?)?.f_sigmoid_()
    }
}
