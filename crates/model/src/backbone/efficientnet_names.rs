//! How the files of EfficientNets name their layers.

use crate::weights::NamedArrays;

/// One library's way to name the layers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Naming {
    /// `features.3.1.block.0.0.weight`
    Torchvision,
    /// `blocks.2.1.conv_pw.weight`
    Timm,
    /// `_blocks.4._expand_conv.weight`: the package from which the Lite weights come.
    EfficientNetPytorch,
}

/// Names of a block's layers: pairs of a convolution and its batch normalisation, or of two convolutions with biases.
#[derive(Debug)]
pub(super) struct BlockNames {
    /// Absent when the block does not widen.
    pub(super) expand: Option<[String; 2]>,
    pub(super) depthwise: [String; 2],
    /// The two convolutions of squeeze-and-excitation, for networks that have it.
    pub(super) excite: [String; 2],
    pub(super) project: [String; 2],
}

impl Naming {
    /// timm's when the file has timm's stem, else the `published` one.
    pub(super) fn of(weights: &NamedArrays, published: Self) -> Self {
        let timm = weights.has(&format!("{}.weight", Self::Timm.stem()[0]));
        if timm { Self::Timm } else { published }
    }

    /// Convolution and batch normalisation of the first layer.
    pub(super) fn stem(self) -> [&'static str; 2] {
        match self {
            Self::Torchvision => ["features.0.0", "features.0.1"],
            Self::Timm => ["conv_stem", "bn1"],
            Self::EfficientNetPytorch => ["_conv_stem", "_bn0"],
        }
    }

    /// Convolution and batch normalisation of the last layer before pooling.
    pub(super) fn head(self) -> [&'static str; 2] {
        match self {
            Self::Torchvision => ["features.8.0", "features.8.1"],
            Self::Timm => ["conv_head", "bn2"],
            Self::EfficientNetPytorch => ["_conv_head", "_bn1"],
        }
    }

    /// The layers of block `index` of a stage, which is block `position` of the network.
    pub(super) fn block(self, stage: usize, index: usize, position: usize, expands: bool) -> BlockNames {
        let prefix = match self {
            Self::Torchvision => format!("features.{}.{index}.block", stage + 1),
            Self::Timm => format!("blocks.{stage}.{index}"),
            Self::EfficientNetPytorch => format!("_blocks.{position}"),
        };
        let [expand, depthwise, excite, project] = match (self, expands) {
            (Self::Torchvision, true) => [["0.0", "0.1"], ["1.0", "1.1"], ["2.fc1", "2.fc2"], ["3.0", "3.1"]],
            (Self::Torchvision, false) => [["", ""], ["0.0", "0.1"], ["1.fc1", "1.fc2"], ["2.0", "2.1"]],
            (Self::Timm, true) => [
                ["conv_pw", "bn1"],
                ["conv_dw", "bn2"],
                ["se.conv_reduce", "se.conv_expand"],
                ["conv_pwl", "bn3"],
            ],
            (Self::Timm, false) => {
                [["", ""], ["conv_dw", "bn1"], ["se.conv_reduce", "se.conv_expand"], ["conv_pw", "bn2"]]
            }
            (Self::EfficientNetPytorch, _) => [
                ["_expand_conv", "_bn0"],
                ["_depthwise_conv", "_bn1"],
                ["_se_reduce", "_se_expand"],
                ["_project_conv", "_bn2"],
            ],
        }
        .map(|pair| pair.map(|name| format!("{prefix}.{name}")));
        BlockNames { expand: expands.then_some(expand), depthwise, excite, project }
    }
}
