//! Our image path against Pillow's, on pictures that `fixtures/make_fixtures.py` drew and preprocessed.
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::path::PathBuf;

use image::RgbImage;
use imaging::{Interpolation, Transform, decode, probe};

/// How far a picture may be from Pillow's.
struct Tolerance {
    /// Share of the values that may differ at all.
    share: f64,
    /// Largest difference.
    levels: u8,
}

const EXACT: Tolerance = Tolerance { share: 0.0, levels: 0 };
/// Alpha of 8 bits; colours of 16 bits, of which Pillow keeps the upper byte.
const ONE_LEVEL: Tolerance = Tolerance { share: 0.3, levels: 1 };
/// Both of these roundings.
const TWO_LEVELS: Tolerance = Tolerance { share: 0.3, levels: 2 };
const RESIZE: Tolerance = Tolerance { share: 0.01, levels: 2 };

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_close(name: &str, ours: &RgbImage, pillow: &RgbImage, tolerance: &Tolerance) {
    assert_eq!(ours.dimensions(), pillow.dimensions(), "{name}");
    let differences: Vec<u8> = ours.iter().zip(pillow.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
    let largest = *differences.iter().max().unwrap();
    let share = differences.iter().filter(|&&d| d > 0).count() as f64 / differences.len() as f64;
    assert!(
        largest <= tolerance.levels && share <= tolerance.share,
        "{name}: {:.2} % of the values differ from Pillow's, by {largest} at most",
        share * 100.0
    );
}

fn assert_decodes(name: &str, tolerance: &Tolerance) {
    let bytes = fixture(&format!("decode/{name}"));
    let ours = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(probe(&bytes).unwrap(), ours.dimensions(), "{name}");
    let pillow = decode(&fixture(&format!("decode/{}.rgb.png", name.replace('.', "-")))).unwrap();
    assert_close(name, &ours, &pillow, tolerance);
}

#[test]
fn photos_stand_upright_in_all_eight_orientations() {
    for orientation in 1..=8 {
        assert_decodes(&format!("orientation-{orientation}.jpg"), &EXACT);
    }
    for name in ["orientation-6.png", "orientation-6.tif", "orientation-6.webp"] {
        assert_decodes(name, &EXACT);
    }
}

#[test]
fn whatever_asks_a_photo_to_stand_up_is_heard() {
    for name in ["exif-long.jpg", "xmp.jpg", "xmp-and-exif.jpg", "xmp.png", "xmp-packed.png", "xmp.webp"] {
        assert_decodes(name, &EXACT);
        assert_eq!(probe(&fixture(&format!("decode/{name}"))).unwrap(), (30, 40), "{name}");
    }
    for name in ["raw-profile.png", "xmp.tif"] {
        assert_decodes(name, &EXACT);
    }
}

#[test]
fn jpegs_of_every_kind_are_read() {
    for name in ["color.jpg", "color-422.jpg", "color-444.jpg", "restarts.jpg", "progressive.jpg"] {
        assert_decodes(name, &EXACT);
    }
    for name in ["gray.jpg", "rgb.jpg", "cmyk.jpg", "ycck.jpg"] {
        assert_decodes(name, &EXACT);
    }
    for name in ["arithmetic-color.jpg", "arithmetic-progressive.jpg"] {
        assert_decodes(name, &EXACT);
    }
}

#[test]
fn tiffs_of_every_kind_are_read() {
    for name in ["palette.tif", "palette-big.tif", "color-big.tif", "group4.tif", "pages.tif"] {
        assert_decodes(name, &EXACT);
    }
    for name in ["jpeg.tif", "jpeg-gray.tif", "jpeg-cmyk.tif", "gray-2-bits.tif", "gray-4-bits.tif"] {
        assert_decodes(name, &EXACT);
    }
}

#[test]
fn a_bitmap_whose_alpha_is_empty_is_opaque() {
    for size in [56, 108, 124] {
        assert_decodes(&format!("empty-alpha-{size}.bmp"), &EXACT);
    }
}

#[test]
fn every_other_format_is_read_exactly() {
    for name in ["gray.png", "one-bit.png", "palette.png", "color.bmp", "palette.bmp"] {
        assert_decodes(name, &EXACT);
    }
    for name in ["color.tif", "cmyk.tif", "first-frame.gif", "lossy.webp"] {
        assert_decodes(name, &EXACT);
    }
}

#[test]
fn alpha_lies_over_white() {
    for name in ["palette-hole.png", "hole.gif"] {
        assert_decodes(name, &EXACT);
    }
    for name in ["alpha.png", "gray-alpha.png", "alpha.tif", "gray-alpha.tif", "alpha.webp"] {
        assert_decodes(name, &ONE_LEVEL);
    }
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    assert_decodes("deep-gray.png", &EXACT);
    assert_decodes("deep.png", &ONE_LEVEL);
    assert_decodes("deep-alpha.png", &TWO_LEVELS);
}

#[test]
fn resizing_is_pillows() {
    for name in ["photo", "text", "up", "wide", "tall", "same"] {
        let picture = decode(&fixture(&format!("resize/{name}.png"))).unwrap();
        let kernels = [("bilinear", Interpolation::Bilinear), ("bicubic", Interpolation::Bicubic)];
        for (kernel, interpolation) in kernels {
            let transform = Transform {
                resize: 72,
                crop: 64,
                squash: false,
                mirror: false,
                interpolation,
                mean: [0.0; 3],
                std: [1.0; 3],
            };
            let golden = format!("resize/{name}.{kernel}.png");
            let pillow = decode(&fixture(&golden)).unwrap();
            assert_close(&golden, &transform.pixels(&picture), &pillow, &RESIZE);
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_the_whole_picture() {
    let names =
        ["orientation-6.webp", "cmyk.jpg", "progressive.jpg", "deep-alpha.png", "hole.gif", "alpha.tif"];
    for name in names.into_iter().chain(["palette-big.tif", "jpeg.tif", "arithmetic-color.jpg"]) {
        let bytes = fixture(&format!("decode/{name}"));
        let whole = decode(&bytes).unwrap();
        for length in (0..bytes.len()).step_by(7).chain(bytes.len() - 40..bytes.len()) {
            if let Ok(image) = decode(&bytes[..length]) {
                assert!(image == whole, "{name}, {length} of {} bytes", bytes.len());
            }
        }
    }
}
