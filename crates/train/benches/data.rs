//! What training reads, over millions of captions: seconds to open it, batches read by one thread, and peak memory.
//!
//! `cargo bench -p train --bench data -- --images 5000000 --captions 1` makes features and tokens in a temporary folder, then
//! reads them in a process of its own. `--batches` says how many batches, `--memory-mb` how many megabytes of grids may stay in
//! memory (`train.feature_memory_mb`), `--words 1` that the words are kept too, as self-critical training needs them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a library")]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use artifacts::features::{Dtype, FeatureKey, FeatureRow, FeatureSet, FeatureSpec, part_file, write_part};
use artifacts::manifest::{Manifest, Output};
use artifacts::tokens::{self, TokenRow};
use artifacts::{Recipe, Split, layout, table};
use half::f16;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::Device;
use torch::grids::GridStore;
use train::Examples;

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IMAGES_A_PART: usize = 4096;
const BATCH_IMAGES: usize = 32;
const WORDS: u32 = 5000;
/// Which of the arguments starts the second process.
const READ: &str = "--read";

fn main() {
    match named(READ) {
        Some(folder) => read(Path::new(&folder)),
        None => {
            let folder = tempfile::tempdir().unwrap();
            let started = Instant::now();
            make(folder.path());
            println!("made in {:.0} s", started.elapsed().as_secs_f64());
            let mut reader = Command::new(std::env::current_exe().unwrap());
            reader.args(std::env::args().skip(1)).arg(READ).arg(folder.path());
            assert!(reader.status().unwrap().success());
        }
    }
}

/// The argument behind `name`.
fn named(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn number(name: &str, otherwise: usize) -> usize {
    named(name).map_or(otherwise, |number| number.parse().unwrap())
}

/// Features of a grid of 1 × 2 regions of 8 channels, and captions of 5 to 15 words.
fn make(folder: &Path) {
    let (images, captions) = (number("--images", 5_000_000), number("--captions", 1));
    let spec = FeatureSpec {
        backbone: "tiny".to_owned(),
        view: Default::default(),
        weights: Default::default(),
        weights_sha256: "0".repeat(64),
        onnx: None,
        transform: serde_json::Value::Null,
        grid: [1, 2],
        channels: 8,
    };
    let (features, text) = (folder.join("tiny"), folder.join("text"));
    std::fs::create_dir_all(text.join(tokens::FOLDER)).unwrap();
    std::fs::create_dir_all(&features).unwrap();
    let recipe = Recipe::new("bench", 1, &"").unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut parts, mut tables) = (Vec::new(), Vec::new());
    for first in (0..images).step_by(IMAGES_A_PART) {
        let numbers = first..images.min(first + IMAGES_A_PART);
        let key = |number: usize| FeatureKey {
            image_id: format!("{number:012}.jpg"),
            split: Split::Train,
            content_hash: format!("blake3:{number:064x}"),
        };
        let keys: Vec<FeatureKey> = numbers.map(key).collect();
        let mut halves = |count| (0..count).map(|_| f16::from_f32(random.random())).collect();
        let row = |key: &FeatureKey| FeatureRow { key: key.clone(), pooled: halves(8), grid: halves(16) };
        let rows: Vec<FeatureRow> = keys.iter().map(row).collect();
        let file = part_file(parts.len(), &recipe, &keys);
        write_part(&features.join(&file), &spec, Dtype::F16, &rows, &[], &recipe, &keys).unwrap();
        parts.push(Output { file, bytes: 0, rows: None, hash: String::new() });

        let mut rows = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            for caption in 0..captions {
                let words: Vec<u32> =
                    (0..random.random_range(5..=15)).map(|_| random.random_range(4..WORDS)).collect();
                rows.push(TokenRow {
                    image_id: key.image_id.clone(),
                    caption_id: ((first + number) * captions + caption) as u64,
                    split: Split::Train,
                    words: words.iter().map(|word| format!("word{word}")).collect(),
                    length: words.len() as u32 + 2,
                    ids: [&[1], words.as_slice(), &[2]].concat(),
                });
            }
        }
        let file =
            format!("{}/{}", tokens::FOLDER, layout::part_of(tables.len(), &recipe, &first.to_string()));
        table::write(&text.join(&file), &rows, &recipe, &[]).unwrap();
        tables.push(Output::of(&text, &file).unwrap());
    }
    for (folder, outputs) in [(&features, parts), (&text, tables)] {
        let manifest = Manifest {
            fingerprint: recipe.fingerprint(),
            recipe: recipe.clone(),
            model: None,
            outputs,
            warnings: vec![],
            summary: Default::default(),
            seconds: 0.0,
        };
        manifest.write(folder).unwrap();
    }
}

/// Opens what was made and reads batches of the first epoch, on one thread.
fn read(folder: &Path) {
    tch::set_num_threads(1);
    println!("memory of the process alone: {}", peak());
    let started = Instant::now();
    let set = FeatureSet::open(&folder.join("tiny")).unwrap();
    let store =
        GridStore::open(vec![set], Split::Train, number("--memory-mb", 0) as u64 * 1_000_000).unwrap();
    println!("features opened in {:.1} s, peak memory {}", started.elapsed().as_secs_f64(), peak());
    let started = Instant::now();
    let captions = tokens::open(&folder.join("text")).unwrap();
    let rows = captions.rows().map(|row| Ok(row?));
    let file = tempfile::tempfile_in(folder).unwrap();
    let examples = Examples::new(store, None, rows, file, number("--words", 0) > 0).unwrap();
    println!("captions joined in {:.1} s, peak memory {}", started.elapsed().as_secs_f64(), peak());
    let started = Instant::now();
    let batches = examples.shuffled(BATCH_IMAGES, 1, 0);
    println!("an epoch shuffled in {:.1} s, peak memory {}", started.elapsed().as_secs_f64(), peak());
    let started = Instant::now();
    let mut images = 0;
    for picks in batches.iter().take(number("--batches", 10_000)) {
        images += std::hint::black_box(examples.batch(picks, Device::Cpu).unwrap()).picks.len();
    }
    let rate = images as f64 / started.elapsed().as_secs_f64();
    println!(
        "{images} of {} images read, {rate:.0} rows/s on one core, peak memory {}",
        examples.len(),
        peak()
    );
}

/// `VmHWM` of this process.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    format!("{} MB", kilobytes * 1024 / 1_000_000)
}
