//! Decodes, resizes, crops and normalises image files on all cores, and prints images per second.
//!
//! `cargo run --release -p imaging --example decode -- photos/*.jpg`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a library")]

use std::time::Instant;

use imaging::{Interpolation, Transform};
use rayon::prelude::*;

fn main() {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let transform = Transform {
        resize: 256,
        crop: 224,
        squash: false,
        mirror: false,
        interpolation: Interpolation::Bilinear,
        mean: [123.675, 116.28, 103.53],
        std: [58.395, 57.12, 57.375],
    };
    let started = Instant::now();
    paths.par_iter().for_each(|path| {
        let image = imaging::decode(&std::fs::read(path).unwrap()).unwrap();
        std::hint::black_box(transform.apply(&image));
    });
    println!("{:.1}", paths.len() as f64 / started.elapsed().as_secs_f64());
}
