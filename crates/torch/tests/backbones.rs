//! Backbones against independent implementations: torchvision, timm and efficientnet-lite-pytorch.
//!
//! `make_fixtures.py` in the fixtures of `model` made the grids from weights of the same formula as here.

#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not count as tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::backbone::BackboneSpec;
use model::weights::{self, NamedArrays};
use tch::{Device, Kind, Tensor};
use torch::backbone::{Backbone, Placement};
use torch::precision::{Precision, SlowPrecision};
use torch::weights::{array, tensor};

const SIDE: i64 = 40;

/// `count` numbers in [-1, 1) from the name: FNV-1a of the name, then SplitMix64 of seed + index.
///
/// Tensor operations on 64-bit integers that wrap: a loop in an unoptimised test takes ten times as long.
fn uniform(name: &str, count: i64) -> Tensor {
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let shifted = |x: &Tensor, bits: i64| {
        let ones = (u64::MAX >> bits) as i64;
        x.bitwise_right_shift_tensor_scalar(bits).bitwise_and(ones)
    };
    let indices = Tensor::arange_start(1, count + 1, (Kind::Int64, Device::Cpu));
    let mut x = indices * 0x9e37_79b9_7f4a_7c15_u64 as i64 + seed as i64;
    x = x.bitwise_xor_tensor(&shifted(&x, 30)) * 0xbf58_476d_1ce4_e5b9_u64 as i64;
    x = x.bitwise_xor_tensor(&shifted(&x, 27)) * 0x94d0_49bb_1331_11eb_u64 as i64;
    x = x.bitwise_xor_tensor(&shifted(&x, 31));
    shifted(&x, 40).to_kind(Kind::Double) / f64::from(1 << 23) - 1.0
}

/// A tensor whose size keeps activations in a sane range, by what its name and shape say it is.
fn formula(name: &str, shape: &[i64]) -> Tensor {
    let values = uniform(name, shape.iter().product());
    let values = if shape.len() == 4 {
        values * (6.0 / shape[1..].iter().product::<i64>() as f64).sqrt()
    } else if name.ends_with("running_var") {
        values * 0.5 + 1.0
    } else if name.ends_with("weight") {
        values * 0.25 + 0.75
    } else {
        values * 0.2
    };
    values.to_kind(Kind::Float).view(shape)
}

fn ones(_: &str, shape: &[i64]) -> Tensor {
    Tensor::ones(shape, (Kind::Float, Device::Cpu))
}

/// What `make_fixtures.py` wrote of one model.
struct Fixture {
    grid: Tensor,
    pooled: Tensor,
    shapes: Shapes,
    parameters: u64,
}

type Shapes = BTreeMap<String, Vec<i64>>;

fn fixture(model: &str) -> Fixture {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures"))
        .join(model.to_owned() + ".safetensors");
    let fixture = weights::read(&path).unwrap();
    let [grid, pooled] = ["grid", "pooled"].map(|name| tensor(&fixture.arrays()[name]).unwrap());
    let shapes = serde_json::from_str(&fixture.metadata()["shapes"]).unwrap();
    Fixture { grid, pooled, shapes, parameters: fixture.metadata()["parameters"].parse().unwrap() }
}

fn backbone(
    name: &str,
    shapes: &Shapes,
    values: fn(&str, &[i64]) -> Tensor,
    placement: impl Into<Placement>,
) -> Backbone {
    // Tests run side by side already; more threads would only spin for each other.
    tch::set_num_threads(1);
    let spec = BackboneSpec::named(name).unwrap();
    Backbone::build(spec, &weights_of("formula", shapes, values), placement).unwrap()
}

/// What a file called `path` would hold.
fn weights_of(path: &str, shapes: &Shapes, values: fn(&str, &[i64]) -> Tensor) -> NamedArrays {
    let arrays = shapes.iter().map(|(name, shape)| (name.clone(), array(&values(name, shape)).unwrap()));
    NamedArrays::new(path, arrays.collect())
}

/// Largest difference in parts of the largest number.
fn error(found: &Tensor, wanted: &Tensor) -> f64 {
    assert_eq!(found.size(), wanted.size());
    f64::try_from((found - wanted).abs().max() / wanted.abs().max()).unwrap()
}

/// The backbone `name` with the tensor names, and against the features, of `model`.
fn equals_the_reference(name: &str, model: &str) {
    let Fixture { grid: wanted, pooled, shapes, .. } = fixture(model);
    let backbone = backbone(name, &shapes, formula, Device::Cpu);
    let images = formula("images", &[1, 3, SIDE, SIDE]) * 10;
    let worker = std::thread::spawn({
        let (backbone, images) = (backbone.clone(), images.shallow_clone());
        move || backbone.grid(&images).unwrap()
    });
    for found in [backbone.grid(&images).unwrap(), worker.join().unwrap()] {
        let error = error(&found, &wanted).max(self::error(&found.mean_dim(1, false, Kind::Float), &pooled));
        assert!(error < 1e-4, "{name} against {model}: relative error {error}");
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

#[test]
fn grids_and_parameters_are_as_the_registry_says() {
    for spec in BackboneSpec::all() {
        let Fixture { shapes, parameters, .. } = fixture(spec.name);
        assert_eq!(spec.parameters, parameters, "{}", spec.name);
        let backbone = backbone(spec.name, &shapes, ones, Device::Cpu);
        let side = i64::from(spec.transform.crop);
        let grid = backbone.grid(&ones("images", &[1, 3, side, side])).unwrap();
        assert_eq!(grid.size(), [1, i64::from(spec.regions()), i64::from(spec.channels)], "{}", spec.name);
        assert!(grid.is_contiguous());
    }
}

#[test]
fn grids_of_any_side_are_as_the_registry_says() {
    for name in ["resnet18", "efficientnet_b0", "efficientnet_lite0"] {
        let backbone = backbone(name, &fixture(name).shapes, ones, Device::Cpu);
        for side in [31, 32, 33, 47, 63, 64, 65, 97] {
            let images = ones("images", &[1, 3, i64::from(side), i64::from(side)]);
            let regions = i64::from(backbone.spec().grid(side).pow(2));
            assert_eq!(backbone.grid(&images).unwrap().size()[1], regions, "{name} at {side}");
        }
    }
}

#[test]
fn neighbours_in_the_batch_do_not_matter() {
    for name in ["resnet18", "efficientnet_b0", "efficientnet_lite0"] {
        let backbone = backbone(name, &fixture(name).shapes, formula, Device::Cpu);
        let images = formula("images", &[20, 3, SIDE, SIDE]);
        let (together, alone) =
            (backbone.grid(&images).unwrap(), backbone.grid(&images.narrow(0, 7, 1)).unwrap());
        let error = error(&together.narrow(0, 7, 1), &alone);
        assert!(error < 1e-5, "{name}: relative error {error}");
    }
}

#[test]
fn bf16_is_close_to_f32_or_refused() {
    let placement: Result<_, SlowPrecision> = Placement::new(Device::Cpu, Precision::Bf16);
    let Some(placement) = needs::machine("a processor with bf16", placement.ok()) else { return };
    for name in ["resnet18", "efficientnet_b0", "efficientnet_lite0"] {
        let Fixture { grid: wanted, shapes, .. } = fixture(name);
        let found = backbone(name, &shapes, formula, placement);
        let found = found.grid(&(formula("images", &[1, 3, SIDE, SIDE]) * 10)).unwrap();
        assert_eq!(found.kind(), Kind::Float);
        let error = f64::try_from((found - &wanted).norm() / wanted.norm()).unwrap();
        assert!((1e-4..0.05).contains(&error), "{name}: relative error {error}");
    }
}

#[test]
fn images_of_another_shape_or_type_are_an_error() {
    let backbone = backbone("resnet18", &fixture("resnet18").shapes, ones, Device::Cpu);
    for (shape, kind) in [
        (vec![3, 64, 64], Kind::Float),
        (vec![1, 1, 64, 64], Kind::Float),
        (vec![1, 3, 64, 32], Kind::Float),
        (vec![1, 3, 64, 64], Kind::Uint8),
    ] {
        assert!(backbone.grid(&Tensor::zeros(shape, (kind, Device::Cpu))).is_err());
    }
}

#[test]
fn weights_of_another_network_are_refused_by_name_and_shape() {
    let mut shapes = fixture("resnet18").shapes;
    let build = |shapes: &Shapes| {
        let spec = BackboneSpec::named("resnet18").unwrap();
        Backbone::build(spec, &weights_of("r18.pth", shapes, ones), Device::Cpu).unwrap_err().to_string()
    };
    shapes.insert("layer1.0.conv1.weight".into(), vec![64, 64, 1, 1]);
    let message = build(&shapes);
    assert!(
        message.contains("r18.pth: tensor `layer1.0.conv1.weight` is [64, 64, 1, 1], not [64, 64, 3, 3]"),
        "{message}"
    );
    shapes.remove("layer1.0.conv1.weight");
    let message = build(&shapes);
    assert!(message.contains("no tensor `layer1.0.conv1.weight` [64, 64, 3, 3]"), "{message}");
}
