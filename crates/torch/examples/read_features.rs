//! Rows per second of the feature reader on one core: a shuffled epoch in batches of 32, from disk and from memory.
//!
//! `cargo run --release -p torch --example read_features -- data/runs/demo/features/efficientnet_lite0`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a library")]

use std::path::PathBuf;
use std::time::Instant;

use artifacts::Split;
use artifacts::features::FeatureSet;
use torch::grids::GridStore;

const BATCH: usize = 32;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap());
    let name = folder.file_name().unwrap().to_str().unwrap();
    for (kind, memory) in [("from disk", 0), ("from memory", u64::MAX)] {
        let started = Instant::now();
        let store =
            GridStore::open(vec![FeatureSet::open_named(&folder, name).unwrap()], Split::Train, memory)
                .unwrap();
        let opened = started.elapsed().as_secs_f64();
        // Every row once, far apart from its neighbours: 7919 is a prime that no set's size is a multiple of.
        let order: Vec<usize> = (0..store.len()).map(|row| row * 7919 % store.len()).collect();
        let started = Instant::now();
        for batch in order.chunks(BATCH) {
            std::hint::black_box(store.read(batch).unwrap());
        }
        let rate = store.len() as f64 / started.elapsed().as_secs_f64();
        println!("ours, {kind:<28} {rate:>9.0} rows/s   ({} rows, opened in {opened:.2} s)", store.len());
    }
}
