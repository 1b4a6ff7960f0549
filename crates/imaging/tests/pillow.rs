//! Our image path against Pillow's, on pictures that `fixtures/make_fixtures.py` drew and preprocessed.
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::path::PathBuf;

use imaging::{Interpolation, Transform, decode};

/// How far a picture may be from Pillow's: share of values that differ at all, and the largest difference.
struct Tolerance {
    share: f64,
    levels: u8,
}

/// Lossless sources: only the resize can differ.
const EXACT_SOURCE: Tolerance = Tolerance { share: 0.01, levels: 2 };
/// JPEG decoders differ by rounding in the inverse cosine transform and the chroma upsampling.
const JPEG_SOURCE: Tolerance = Tolerance { share: 0.5, levels: 4 };

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn compare(name: &str, interpolation: Interpolation, tolerance: &Tolerance) {
    let transform = Transform { resize: 72, crop: 64, interpolation, mean: [0.0; 3], std: [1.0; 3] };
    let ours = transform.pixels(&decode(&fixture(name)).unwrap());
    let stem = name.split('.').next().unwrap();
    let pillow = decode(&fixture(&format!("{stem}.expected.png"))).unwrap();
    assert_eq!(ours.dimensions(), pillow.dimensions());
    let differences: Vec<u8> = ours.iter().zip(pillow.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
    let largest = *differences.iter().max().unwrap();
    let share = differences.iter().filter(|&&d| d > 0).count() as f64 / differences.len() as f64;
    assert!(
        largest <= tolerance.levels && share <= tolerance.share,
        "{name}: {:.2} % of the values differ, by {largest} at most",
        share * 100.0
    );
}

#[test]
fn resizing_is_pillows() {
    compare("bilinear.png", Interpolation::Bilinear, &EXACT_SOURCE);
    for name in ["bicubic.png", "up.png", "wide.png", "palette.png"] {
        compare(name, Interpolation::Bicubic, &EXACT_SOURCE);
    }
}

#[test]
fn gray_cmyk_and_progressive_jpegs_are_read_as_pillow_reads_them() {
    for name in ["color.jpg", "gray.jpg", "cmyk.jpg", "progressive.jpg"] {
        compare(name, Interpolation::Bicubic, &JPEG_SOURCE);
    }
}

#[test]
fn photos_stand_upright() {
    for name in ["orientation-3.jpg", "orientation-6.jpg", "orientation-8.jpg"] {
        compare(name, Interpolation::Bicubic, &JPEG_SOURCE);
        let (width, height) = imaging::probe(&fixture(name)).unwrap();
        assert_eq!(decode(&fixture(name)).unwrap().dimensions(), (width, height));
    }
}
