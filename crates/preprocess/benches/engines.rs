//! Images per second of both engines, the networks alone, in f32, with weights that need no file: on one thread, and on all cores
//! with a network per core, as the stage runs them.
//!
//! `cargo bench -p preprocess --bench engines -- resnet50 efficientnet_lite0`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a library")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use model::backbone::BackboneSpec;
use model::weights::{self, Array, NamedArrays};
use tch::{Device, Tensor};
use torch::backbone::Backbone;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns of each contender; the best counts, since a machine is never idle.
const TURNS: usize = 5;
/// Batches in a turn, for each thread.
const BATCHES: usize = 6;

/// What a thread runs: images of one batch in, their grids out.
type Network = Box<dyn FnMut(&[f32]) -> Vec<f32> + Send>;

/// What makes it.
type Engine = fn(&'static BackboneSpec, &NamedArrays) -> Network;

/// Engines, with the images that the stage gives them at once.
const ENGINES: [(&str, usize, Engine); 2] = [("libtorch", 8, libtorch), ("ONNX Runtime", 4, onnx_runtime)];

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let all = || BackboneSpec::all().iter().map(|spec| spec.name.to_owned()).collect();
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    println!("{:<20} {:<14} {:>12} {:>14}", "f32", "", "one thread", format!("{cores} threads"));
    for name in if asked.is_empty() { all() } else { asked } {
        let spec = BackboneSpec::named(&name).unwrap();
        let weights = random(&name);
        let mut best = [[0.0f64; 2]; ENGINES.len()];
        // In turns, so that what else the machine does meets all of them.
        for _ in 0..TURNS {
            for ((_, at_once, engine), best) in ENGINES.into_iter().zip(&mut best) {
                for (threads, best) in [1, cores].into_iter().zip(best) {
                    let networks = (0..threads).map(|_| engine(spec, &weights)).collect();
                    *best = best.max(images_per_second(networks, spec.transform.crop as usize, at_once));
                }
            }
        }
        for ((engine, ..), [one, all]) in ENGINES.into_iter().zip(best) {
            println!("{name:<20} {engine:<14} {one:>12.1} {all:>14.1}");
        }
    }
}

fn libtorch(spec: &'static BackboneSpec, weights: &NamedArrays) -> Network {
    let network = Backbone::build(spec, weights, Device::Cpu).unwrap();
    let side = i64::from(spec.transform.crop);
    Box::new(move |images| {
        torch::threads::single();
        let images = Tensor::from_slice(images).view([-1, 3, side, side]);
        Vec::try_from(tch::no_grad(|| network.grid(&images).unwrap()).flatten(0, -1)).unwrap()
    })
}

fn onnx_runtime(spec: &'static BackboneSpec, weights: &NamedArrays) -> Network {
    let side = spec.transform.crop;
    let file = onnx::backbone(spec, weights, side).unwrap();
    let mut network = onnx::Backbone::new(&file, side, NonZeroUsize::MIN).unwrap();
    Box::new(move |images| network.grids(images).unwrap())
}

/// Each network on a thread of its own.
fn images_per_second(networks: Vec<Network>, side: usize, at_once: usize) -> f64 {
    let images: Vec<f32> =
        (0..at_once * 3 * side * side).map(|index| (index % 255) as f32 / 128.0 - 1.0).collect();
    let (all, images) = (networks.len() * at_once * BATCHES, &images);
    let mut networks = networks;
    // The first run of a network sets it up.
    networks.iter_mut().for_each(|network| drop(network(images)));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for network in &mut networks {
            scope.spawn(move || (0..BATCHES).for_each(|_| drop(std::hint::black_box(network(images)))));
        }
    });
    all as f64 / start.elapsed().as_secs_f64()
}

/// Random weights of the published shapes, small enough for every network.
fn random(name: &str) -> NamedArrays {
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures"));
    let fixture = weights::read(&fixtures.join(format!("{name}.safetensors"))).unwrap();
    let shapes: BTreeMap<String, Vec<i64>> = serde_json::from_str(&fixture.metadata()["shapes"]).unwrap();
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 * 0.1
    };
    let arrays = shapes.into_iter().map(|(name, shape)| {
        let values: Vec<f32> = (0..shape.iter().product::<i64>()).map(|_| next()).collect();
        (name, Array::of_f32(shape, &values).unwrap())
    });
    NamedArrays::new("random", arrays.collect())
}
