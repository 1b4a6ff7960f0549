//! ResNet (He et al. 2015, arXiv:1512.03385) as in torchvision, whose tensor names it reads; timm's
//! plain ResNets have the same.
//!
//! "v1.5": a bottleneck strides in its 3×3 convolution, not in the first 1×1.

use super::description::{Activation, Conv, Description, Geometry, Layer, Padding};

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

const RELU: Layer = Layer::Activate(Activation::Relu);

/// The network of `depths` blocks in its four stages.
pub(super) fn describe(block: Block, depths: [usize; 4]) -> Description {
    let mut blocks = Vec::new();
    let mut inputs = 64;
    for (stage, depth) in depths.into_iter().enumerate() {
        let width = 64 << stage;
        for index in 0..depth {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            blocks.push(residual(&format!("layer{}.{index}", stage + 1), block, inputs, width, stride));
            inputs = width * block.expansion();
        }
    }
    let stem = Conv::normed("conv1", "bn1", dense(3, 64, 7, 2));
    let pool = Layer::MaxPool { kernel: 3, stride: 2 };
    Description { stem: vec![stem, RELU, pool], blocks, head: vec![], epsilon: BATCH_NORM_EPSILON }
}

/// `relu(branch(x) + shortcut(x))`, with ReLU between the convolutions of the branch.
fn residual(name: &str, block: Block, inputs: i64, width: i64, stride: i64) -> Vec<Layer> {
    let outputs = width * block.expansion();
    let geometries = match block {
        Block::Basic => vec![dense(inputs, width, 3, stride), dense(width, width, 3, 1)],
        Block::Bottleneck => {
            vec![dense(inputs, width, 1, 1), dense(width, width, 3, stride), dense(width, outputs, 1, 1)]
        }
    };
    let mut branch = Vec::new();
    for (index, geometry) in (1..).zip(geometries) {
        if index > 1 {
            branch.push(RELU);
        }
        branch.push(Conv::normed(format!("{name}.conv{index}"), format!("{name}.bn{index}"), geometry));
    }
    let mut shortcut = Vec::new();
    if stride > 1 || inputs != outputs {
        let (conv, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
        shortcut.push(Conv::normed(conv, norm, dense(inputs, outputs, 1, stride)));
    }
    vec![Layer::Add { branch, shortcut }, RELU]
}

fn dense(inputs: i64, outputs: i64, kernel: i64, stride: i64) -> Geometry {
    Geometry { inputs, outputs, kernel, stride, groups: 1, padding: Padding::Half }
}
