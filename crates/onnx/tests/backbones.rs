//! Backbones as ONNX graphs against independent implementations: torchvision, timm and efficientnet-lite-pytorch.
//!
//! `make_fixtures.py` beside the fixtures made the grids from weights of the same formula as here.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not count as tests")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use model::backbone::BackboneSpec;
use model::weights::{self, Array, NamedArrays};
use onnx::{Backbone, backbone};

const SIDE: i64 = 40;

/// `count` numbers in [-1, 1) from the name: FNV-1a of the name, then SplitMix64 of seed + index.
fn uniform(name: &str, count: i64) -> impl Iterator<Item = f64> {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (1..=count as u64).map(move |index| {
        let mut x = index.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        (x >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// A tensor whose size keeps activations in a sane range, by what its name and shape say it is.
fn formula(name: &str, shape: &[i64]) -> Vec<f32> {
    let (factor, shift) = if shape.len() == 4 {
        ((6.0 / shape[1..].iter().product::<i64>() as f64).sqrt(), 0.0)
    } else if name.ends_with("running_var") {
        (0.5, 1.0)
    } else if name.ends_with("weight") {
        (0.25, 0.75)
    } else {
        (0.2, 0.0)
    };
    uniform(name, shape.iter().product()).map(|value| (value * factor + shift) as f32).collect()
}

/// Largest difference in parts of the largest number.
fn error(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().map(|value| value.abs()).fold(0.0, f32::max);
    found.iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs()).fold(0.0, f32::max) / largest
}

/// The backbone `name` with the tensor names, and against the features, of `model`.
fn equals_the_reference(name: &str, model: &str) {
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures"));
    let fixture = weights::read(&fixtures.join(format!("{model}.safetensors"))).unwrap();
    let shapes: BTreeMap<String, Vec<i64>> = serde_json::from_str(&fixture.metadata()["shapes"]).unwrap();
    let array = |(name, shape): (String, Vec<i64>)| {
        let values = formula(&name, &shape);
        (name, Array::of_f32(shape, &values).unwrap())
    };
    let weights = NamedArrays::new("formula", shapes.into_iter().map(array).collect());
    let file = backbone(BackboneSpec::named(name).unwrap(), &weights, SIDE as u32).unwrap();
    let images: Vec<f32> = formula("images", &[1, 3, SIDE, SIDE]).iter().map(|value| value * 10.0).collect();
    let wanted = fixture.arrays()["grid"].to_f32();
    for threads in [1, 2] {
        let mut network = Backbone::new(&file, SIDE as u32, NonZeroUsize::new(threads).unwrap()).unwrap();
        let error = error(&network.grids(&images).unwrap(), &wanted);
        assert!(error < 1e-4, "{name} against {model}: relative error {error}");
        // A neighbour changes nothing.
        let both = network.grids(&[images.as_slice(), &vec![1.0; images.len()]].concat()).unwrap();
        let error = self::error(&both[..wanted.len()], &wanted);
        assert!(error < 1e-4, "{name} against {model} beside another: relative error {error}");
    }
}

#[test]
fn resnets_equal_torchvision() {
    for name in ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] {
        equals_the_reference(name, name);
    }
}

#[test]
fn efficientnets_equal_torchvision() {
    for name in
        ["efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4"]
    {
        equals_the_reference(name, name);
    }
}

#[test]
fn efficientnets_lite_equal_pytorch() {
    for name in ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"] {
        equals_the_reference(name, name);
    }
}

#[test]
fn weights_with_timms_names_equal_timm() {
    equals_the_reference("efficientnet_b0", "timm-efficientnet_b0");
    equals_the_reference("efficientnet_lite0", "timm-tf_efficientnet_lite0");
}
