//! EfficientNet-Lite (Tan & Le 2019, arXiv:1905.11946, without squeeze-excite and with ReLU6 for swish).
//!
//! The published weights come from TensorFlow: "SAME" padding, batch normalisation with its epsilon, and tensor names
//! of the EfficientNet-PyTorch family (`_blocks.3._depthwise_conv.weight`).

use tch::{Device, TchError, Tensor};

use super::Network;
use super::conv::{Conv, Geometry, Padding, Source};
use crate::weights::{NamedTensors, WeightsError};

const BATCH_NORM_EPSILON: f64 = 1e-3;
const STEM_CHANNELS: i64 = 32;
pub(super) const HEAD_CHANNELS: i64 = 1280;

/// Kernel, stride of the first block and expansion of the seven stages, the same in every variant.
const STAGES: [(i64, i64, i64); 7] =
    [(3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6)];

/// Output channels and number of blocks of the seven stages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    channels: [i64; 7],
    depths: [usize; 7],
}

pub(super) const LITE0: Variant =
    Variant { channels: [16, 24, 40, 80, 112, 192, 320], depths: [1, 2, 2, 3, 3, 4, 1] };
pub(super) const LITE1: Variant =
    Variant { channels: [16, 24, 40, 80, 112, 192, 320], depths: [1, 3, 3, 4, 4, 5, 1] };
pub(super) const LITE2: Variant =
    Variant { channels: [16, 24, 48, 88, 120, 208, 352], depths: [1, 3, 3, 4, 4, 5, 1] };

/// An EfficientNet-Lite without its classifier; the 1×1 head convolution is part of it.
#[derive(Clone, Debug)]
pub(super) struct EfficientNetLite {
    stem: Conv,
    blocks: Vec<InvertedBottleneck>,
    head: Conv,
}

/// 1×1 expansion, depthwise convolution, 1×1 projection without activation.
#[derive(Clone, Debug)]
struct InvertedBottleneck {
    /// Absent when the block does not widen.
    expand: Option<Conv>,
    depthwise: Conv,
    project: Conv,
    /// Whether the input is added to the output: same shape on both sides.
    residual: bool,
}

impl EfficientNetLite {
    /// Builds a variant from tensors named like the published ones.
    pub(super) fn build(
        weights: &NamedTensors,
        device: Device,
        variant: Variant,
    ) -> Result<Box<dyn Network>, WeightsError> {
        let source = Source { weights, epsilon: BATCH_NORM_EPSILON, device };
        let stem = source.conv("_conv_stem", "_bn0", same(3, STEM_CHANNELS, 3, 2, 1))?;
        let mut blocks = Vec::new();
        let mut inputs = STEM_CHANNELS;
        for (stage, (kernel, first_stride, expansion)) in STAGES.into_iter().enumerate() {
            let outputs = variant.channels[stage];
            for index in 0..variant.depths[stage] {
                let stride = if index == 0 { first_stride } else { 1 };
                let depthwise =
                    same(inputs * expansion, inputs * expansion, kernel, stride, inputs * expansion);
                let name = format!("_blocks.{}", blocks.len());
                blocks.push(InvertedBottleneck::build(&source, &name, inputs, depthwise, outputs)?);
                inputs = outputs;
            }
        }
        let head = source.conv("_conv_head", "_bn1", same(inputs, HEAD_CHANNELS, 1, 1, 1))?;
        Ok(Box::new(Self { stem, blocks, head }))
    }
}

impl Network for EfficientNetLite {
    fn features(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let mut grid = self.stem.forward(images)?.f_relu6_()?;
        for block in &self.blocks {
            grid = block.forward(&grid)?;
        }
        self.head.forward(&grid)?.f_relu6_()
    }

    fn shallow_clone(&self) -> Box<dyn Network> {
        Box::new(self.clone())
    }
}

impl InvertedBottleneck {
    fn build(
        source: &Source<'_>,
        name: &str,
        inputs: i64,
        depthwise: Geometry,
        outputs: i64,
    ) -> Result<Self, WeightsError> {
        let layer = |conv: &str, norm: &str, geometry| {
            source.conv(&format!("{name}.{conv}"), &format!("{name}.{norm}"), geometry)
        };
        let width = depthwise.inputs;
        let expand = match width == inputs {
            true => None,
            false => Some(layer("_expand_conv", "_bn0", same(inputs, width, 1, 1, 1))?),
        };
        Ok(Self {
            expand,
            depthwise: layer("_depthwise_conv", "_bn1", depthwise)?,
            project: layer("_project_conv", "_bn2", same(width, outputs, 1, 1, 1))?,
            residual: depthwise.stride == 1 && inputs == outputs,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let wide = match &self.expand {
            Some(expand) => expand.forward(input)?.f_relu6_()?,
            None => input.shallow_clone(),
        };
        let wide = self.depthwise.forward(&wide)?.f_relu6_()?;
        let mut output = self.project.forward(&wide)?;
        if self.residual { output.f_add_(input) } else { Ok(output) }
    }
}

fn same(inputs: i64, outputs: i64, kernel: i64, stride: i64, groups: i64) -> Geometry {
    Geometry { inputs, outputs, kernel, stride, groups, padding: Padding::Same }
}
