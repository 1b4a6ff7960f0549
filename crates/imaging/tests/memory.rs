//! What a picture takes is what its header announced, and what lies beside the pixels takes nothing.
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

mod pngs;

use std::io::Cursor;

use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};
use peak_alloc::PeakAlloc;
use pngs::{Kind, chunk, png, zlib};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const SIZE: (u32, u32) = (800, 640);
const PIXELS: u64 = SIZE.0 as u64 * SIZE.1 as u64;
/// Room for what is not pixels, of which these pictures have little.
const SPARE: u64 = 7 << 20;
const BOMB: usize = 32 << 20;

/// The most that decoding took. libjpeg's own memory is C's and not seen.
fn peak(bytes: &[u8]) -> u64 {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    drop(imaging::decode(bytes));
    (MEMORY.peak_usage() - before) as u64
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// One test, because the allocator counts for the whole process.
#[test]
fn nothing_takes_more_than_its_header_announces() {
    let picture = RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| Rgb([x as u8, y as u8, (x ^ y) as u8]));
    let picture = DynamicImage::ImageRgb8(picture);
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for format in
        [ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::Gif]
    {
        cases.push((format!("{format:?}"), encode(&picture, format)));
    }
    for (name, image) in [
        ("RGBA of 16 bits as TIFF", DynamicImage::ImageRgba16(picture.to_rgba16())),
        ("gray as TIFF", DynamicImage::ImageLuma8(picture.to_luma8())),
    ] {
        cases.push((name.to_owned(), encode(&image, ImageFormat::Tiff)));
    }
    let mut alpha = Vec::new();
    let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut alpha);
    encoder.write_image(&picture.to_rgba8(), SIZE.0, SIZE.1, ExtendedColorType::Rgba8).unwrap();
    cases.push(("WebP with alpha".to_owned(), alpha));
    let deep = Kind { depth: 16, color: 6, interlaced: false };
    let sideways = chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0");
    cases.push(("RGBA of 16 bits".to_owned(), png(deep, SIZE, &[], |row| row.fill(90))));
    cases.push((
        "interlaced".to_owned(),
        png(Kind { interlaced: true, ..deep }, SIZE, &[], |row| row.fill(90)),
    ));
    cases.push(("sideways".to_owned(), png(deep, SIZE, &sideways, |row| row.fill(90))));
    for (name, bytes) in &cases {
        let (needed, peak) = (imaging::memory_needed(bytes).unwrap() - SPARE, peak(bytes));
        assert!(imaging::decode(bytes).is_ok(), "{name}");
        assert!(peak <= needed, "{name}: {peak} bytes at the peak, {needed} announced");
        assert!(needed <= 16 * PIXELS + (64 << 20), "{name}: {needed} bytes are announced");
    }
    // Of the samples, eight bytes each, no row but the present one is kept.
    let of_rgb = 3 * PIXELS + (1 << 20);
    assert!(peak(&cases[cases.len() - 3].1) <= of_rgb, "the samples were kept");

    let bomb = zlib(&vec![0; BOMB]);
    let small = Kind { depth: 8, color: 2, interlaced: false };
    for (kind, before) in [
        (b"iCCP", &b"profile\0\0"[..]),
        (b"zTXt", b"Comment\0\0"),
        (b"iTXt", b"Comment\0\x01\0\0\0"),
        (b"eXIf", b""),
    ] {
        let bytes = png(small, (40, 30), &chunk(kind, &[before, &bomb].concat()), |row| row.fill(90));
        let peak = peak(&bytes);
        assert!(imaging::decode(&bytes).is_ok());
        assert!(peak < (BOMB / 8) as u64, "{}: {peak} bytes", kind.escape_ascii());
    }
}
