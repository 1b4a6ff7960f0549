//! Images per second of the networks alone, on one thread, with weights that need no file.
//!
//! `OMP_NUM_THREADS=1 cargo bench -p torch --bench backbones -- resnet50 efficientnet_lite0`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a library")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use model::backbone::BackboneSpec;
use model::weights::{self, NamedArrays};
use tch::{Device, Kind, Tensor};
use torch::backbone::{Backbone, Placement};
use torch::precision::Precision;
use torch::weights::array;

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPEATS: usize = 5;

fn main() {
    tch::set_num_threads(1);
    let asked: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let names = if asked.is_empty() { vec!["efficientnet_lite0".into(), "resnet50".into()] } else { asked };
    for name in &names {
        let spec = BackboneSpec::named(name).unwrap();
        for precision in [Precision::F32, Precision::Bf16] {
            let Ok(placement) = Placement::new(Device::Cpu, precision) else { continue };
            let backbone = Backbone::build(spec, &like_the_fixture(name), placement).unwrap();
            for batch in [8, 32] {
                let speed = images_per_second(&backbone, batch);
                println!("{name:<20} {precision:?} batch {batch:>2}: {speed:.1} images/s");
            }
        }
    }
}

/// The best of some passes, since a machine is never idle.
fn images_per_second(backbone: &Backbone, batch: i64) -> f64 {
    let side = i64::from(backbone.spec().transform.crop);
    let images = Tensor::randn([batch, 3, side, side], (Kind::Float, Device::Cpu));
    let pass = || {
        let start = Instant::now();
        drop(tch::no_grad(|| backbone.grid(&images).unwrap()));
        start.elapsed().as_secs_f64()
    };
    pass();
    batch as f64 / (0..REPEATS).map(|_| pass()).fold(f64::INFINITY, f64::min)
}

/// Random weights of the published shapes, small enough for every network.
fn like_the_fixture(name: &str) -> NamedArrays {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures"));
    let fixture = weights::read(&folder.join(format!("{name}.safetensors"))).unwrap();
    let shapes: BTreeMap<String, Vec<i64>> = serde_json::from_str(&fixture.metadata()["shapes"]).unwrap();
    let random = |shape: Vec<i64>| array(&(Tensor::rand(shape, (Kind::Float, Device::Cpu)) * 0.1)).unwrap();
    let arrays = shapes.into_iter().map(|(name, shape)| (name, random(shape))).collect();
    NamedArrays::new("random", arrays)
}
