//! ResNet (He et al. 2015, arXiv:1512.03385) as in torchvision, whose tensor names it reads; timm's
//! plain ResNets have the same.
//!
//! "v1.5": a bottleneck strides in its 3×3 convolution, not in the first 1×1.

use tch::{TchError, Tensor};

use super::conv::{Conv, Geometry, Padding, Source};
use super::{Network, Placement};
use crate::weights::{NamedTensors, WeightsError};

/// Torch's default of `BatchNorm2d`.
const BATCH_NORM_EPSILON: f64 = 1e-5;

/// The two kinds of residual branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3, and 1×1 to four times the width.
    Bottleneck,
}

impl Block {
    /// Output channels for each channel of width.
    fn expansion(self) -> i64 {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// A ResNet without its classifier.
#[derive(Clone, Debug)]
pub(super) struct ResNet {
    stem: Conv,
    blocks: Vec<Residual>,
}

/// `relu(branch(x) + shortcut(x))`, with ReLU between the convolutions of the branch.
#[derive(Clone, Debug)]
struct Residual {
    branch: Vec<Conv>,
    /// Identity when absent.
    downsample: Option<Conv>,
}

impl ResNet {
    /// Builds the network of `depths` blocks in its four stages from tensors named like torchvision's.
    pub(super) fn build(
        weights: &NamedTensors,
        placement: Placement,
        block: Block,
        depths: [usize; 4],
    ) -> Result<Box<dyn Network>, WeightsError> {
        let source = Source { weights, epsilon: BATCH_NORM_EPSILON, placement };
        let stem = source.conv("conv1", "bn1", dense(3, 64, 7, 2))?;
        let mut blocks = Vec::new();
        let mut inputs = 64;
        for (stage, depth) in depths.into_iter().enumerate() {
            let width = 64 << stage;
            for index in 0..depth {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let name = format!("layer{}.{index}", stage + 1);
                blocks.push(Residual::build(&source, &name, block, inputs, width, stride)?);
                inputs = width * block.expansion();
            }
        }
        Ok(Box::new(Self { stem, blocks }))
    }
}

impl Network for ResNet {
    fn features(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let stem = self.stem.forward(images)?.f_relu_()?;
        let mut grid = stem.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for block in &self.blocks {
            grid = block.forward(&grid)?;
        }
        Ok(grid)
    }

    fn shallow_clone(&self) -> Box<dyn Network> {
        Box::new(self.clone())
    }
}

impl Residual {
    fn build(
        source: &Source<'_>,
        name: &str,
        block: Block,
        inputs: i64,
        width: i64,
        stride: i64,
    ) -> Result<Self, WeightsError> {
        let outputs = width * block.expansion();
        let geometries = match block {
            Block::Basic => vec![dense(inputs, width, 3, stride), dense(width, width, 3, 1)],
            Block::Bottleneck => {
                vec![dense(inputs, width, 1, 1), dense(width, width, 3, stride), dense(width, outputs, 1, 1)]
            }
        };
        let layer = |(index, geometry)| {
            source.conv(&format!("{name}.conv{index}"), &format!("{name}.bn{index}"), geometry)
        };
        let branch = (1..).zip(geometries).map(layer).collect::<Result<_, _>>()?;
        let downsample = if stride > 1 || inputs != outputs {
            let (conv, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
            Some(source.conv(&conv, &norm, dense(inputs, outputs, 1, stride))?)
        } else {
            None
        };
        Ok(Self { branch, downsample })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let mut output = input.shallow_clone();
        for (index, conv) in self.branch.iter().enumerate() {
            if index > 0 {
                output = output.f_relu_()?;
            }
            output = conv.forward(&output)?;
        }
        match &self.downsample {
            Some(downsample) => output.f_add_(&downsample.forward(input)?)?.f_relu_(),
            None => output.f_add_(input)?.f_relu_(),
        }
    }
}

fn dense(inputs: i64, outputs: i64, kernel: i64, stride: i64) -> Geometry {
    Geometry { inputs, outputs, kernel, stride, groups: 1, padding: Padding::Half }
}
