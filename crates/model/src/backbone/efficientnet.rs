//! EfficientNet (Tan & Le 2019, arXiv:1905.11946) in two families of weights that differ in more than size:
//!
//! - **B0–B4** as torchvision and timm's `efficientnet_b*` have them: squeeze-and-excitation, SiLU, PyTorch's padding
//!   and epsilon. timm's `tf_efficientnet_b*` are other models (TensorFlow's padding and epsilon) under the same
//!   tensor names: they build here, and give wrong features.
//! - **Lite0–Lite2** as TensorFlow published them and timm's `tf_efficientnet_lite*` has them: no
//!   squeeze-and-excitation, ReLU6, "SAME" padding, TensorFlow's epsilon. timm's `efficientnet_lite0` is another model.

use super::description::{Activation, Conv, Description, Geometry, Layer, Padding};
use super::efficientnet_names::{BlockNames, Naming};
use crate::weights::NamedArrays;

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

    fn activation(self) -> Layer {
        Layer::Activate(match self {
            Self::B => Activation::Silu,
            Self::Lite => Activation::Relu6,
        })
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

/// A variant with the names that its family was published with, or timm's where `weights` has those; the 1×1 head
/// convolution is part of it.
pub(super) fn describe(variant: Variant, weights: &NamedArrays) -> Description {
    let Variant { family, stem, channels, depths, head } = variant;
    let naming = Naming::of(weights, family.published_naming());
    let activated =
        |[conv, norm]: [&str; 2], geometry| vec![Conv::normed(conv, norm, geometry), family.activation()];
    let mut blocks = Vec::new();
    let mut inputs = stem;
    for (stage, (kernel, first_stride, expansion)) in STAGES.into_iter().enumerate() {
        let outputs = channels[stage];
        for index in 0..depths[stage] {
            let stride = if index == 0 { first_stride } else { 1 };
            let width = inputs * expansion;
            let depthwise = family.geometry(width, width, kernel, stride, width);
            let names = naming.block(stage, index, blocks.len(), expansion > 1);
            blocks.push(inverted_bottleneck(family, names, inputs, depthwise, outputs));
            inputs = outputs;
        }
    }
    Description {
        stem: activated(naming.stem(), family.geometry(3, stem, 3, 2, 1)),
        blocks,
        head: activated(naming.head(), family.geometry(inputs, head, 1, 1, 1)),
        epsilon: family.epsilon(),
    }
}

/// 1×1 expansion, depthwise convolution, squeeze-and-excitation, 1×1 projection without activation.
fn inverted_bottleneck(
    family: Family,
    names: BlockNames,
    inputs: i64,
    depthwise: Geometry,
    outputs: i64,
) -> Vec<Layer> {
    let layer = |[conv, norm]: [String; 2], geometry| Conv::normed(conv, norm, geometry);
    let width = depthwise.inputs;
    let residual = depthwise.stride == 1 && inputs == outputs;
    let mut branch = Vec::new();
    if let Some(names) = names.expand {
        branch.extend([layer(names, family.geometry(inputs, width, 1, 1, 1)), family.activation()]);
    }
    branch.extend([layer(names.depthwise, depthwise), family.activation()]);
    if family == Family::B {
        branch.push(squeeze_excite(names.excite, width, inputs / 4));
    }
    branch.push(layer(names.project, family.geometry(width, outputs, 1, 1, 1)));
    if residual { vec![Layer::Add { branch, shortcut: vec![] }] } else { branch }
}

/// Scales each channel by a share that the means of all channels decide.
fn squeeze_excite([reduce, expand]: [String; 2], channels: i64, squeezed: i64) -> Layer {
    let geometry = |inputs, outputs| Family::B.geometry(inputs, outputs, 1, 1, 1);
    Layer::Gate(vec![
        Layer::MeanPool,
        Conv::biased(reduce, geometry(channels, squeezed)),
        Layer::Activate(Activation::Silu),
        Conv::biased(expand, geometry(squeezed, channels)),
        Layer::Activate(Activation::Sigmoid),
    ])
}
