//! Our reading of PNG, row by row, against that of the `image` crate, which holds all samples.
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

mod pngs;

use image::{DynamicImage, Rgb, RgbImage};
use pngs::{Kind, chunk, png};

/// What `image` makes of a file, over white.
fn expected(bytes: &[u8]) -> RgbImage {
    let image = image::load_from_memory(bytes).unwrap();
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0.map(u32::from);
        Rgb([red, green, blue].map(|value| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    })
}

#[test]
fn every_kind_of_samples_becomes_what_it_was_with_all_of_them_in_memory() {
    let palette: Vec<u8> = (0..=255u8).flat_map(|index| [index, 255 - index, index / 2]).collect();
    let holes: Vec<u8> = (0..200).collect();
    let plain = [(0, vec![1, 2, 4, 8, 16]), (2, vec![8, 16]), (4, vec![8, 16]), (6, vec![8, 16])];
    let plain =
        plain.into_iter().flat_map(|(color, depths)| depths.into_iter().map(move |depth| (color, depth)));
    let keyed = [(0u8, chunk(b"tRNS", &[0, 1])), (2, chunk(b"tRNS", &[0, 1, 0, 2, 0, 3]))];
    let mut cases: Vec<(u8, u8, Vec<u8>)> = plain.map(|(color, depth)| (color, depth, vec![])).collect();
    cases.extend(keyed.iter().flat_map(|(color, key)| [8, 16].map(|depth| (*color, depth, key.clone()))));
    for depth in [1u8, 2, 4, 8] {
        let colors = chunk(b"PLTE", &palette[..3 << depth]);
        cases.push((3, depth, colors.clone()));
        cases.push((3, depth, [colors, chunk(b"tRNS", &holes[..holes.len().min(1 << depth)])].concat()));
    }
    for (color, depth, extra) in cases {
        for interlaced in [false, true] {
            for size in [(1, 1), (3, 2), (37, 23)] {
                let kind = Kind { depth, color, interlaced };
                let mut state = 7u32;
                let bytes = png(kind, size, &extra, |row| {
                    row.fill_with(|| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 24) as u8
                    });
                });
                assert!(imaging::decode(&bytes).unwrap() == expected(&bytes), "{kind:?} {size:?}");
            }
        }
    }
}

#[test]
fn palettes_of_a_length_that_none_has_are_refused() {
    let kind = Kind { depth: 8, color: 3, interlaced: false };
    let refused = |length: usize| {
        let bytes = png(kind, (3, 2), &chunk(b"PLTE", &vec![7; length]), |row| row.fill(0));
        imaging::decode(&bytes).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!((refused(3), refused(768)), (Ok(()), Ok(())));
    for length in [4, 49, 767] {
        let message = refused(length).unwrap_err();
        assert!(message.contains(&format!("a palette of {length} bytes")), "{message}");
    }
    assert!([0, 1, 2, 769, 3000].into_iter().all(|length| refused(length).is_err()));
    // Beside true colours a palette is a hint.
    let kind = Kind { color: 2, ..kind };
    let bytes = png(kind, (3, 2), &chunk(b"PLTE", &[7; 49]), |row| row.fill(90));
    assert!(imaging::decode(&bytes).unwrap().pixels().all(|pixel| pixel.0 == [90; 3]));
}

#[test]
fn samples_of_other_formats_become_what_they_were() {
    let noise = |count: usize| (0..count).map(|n| (n * 40_503 % 65_521) as u16);
    let (width, height) = (13, 9);
    let count = (width * height) as usize;
    let bytes = |count| noise(count).map(|value| value as u8).collect::<Vec<u8>>();
    let words = |count| noise(count).collect::<Vec<u16>>();
    let images: [DynamicImage; 6] = [
        image::GrayImage::from_raw(width, height, bytes(count)).unwrap().into(),
        image::RgbImage::from_raw(width, height, bytes(count * 3)).unwrap().into(),
        image::RgbaImage::from_raw(width, height, bytes(count * 4)).unwrap().into(),
        image::ImageBuffer::<image::Luma<u16>, _>::from_raw(width, height, words(count)).unwrap().into(),
        image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(width, height, words(count * 3)).unwrap().into(),
        image::ImageBuffer::<image::Rgba<u16>, _>::from_raw(width, height, words(count * 4)).unwrap().into(),
    ];
    for image in images {
        let mut tiff = std::io::Cursor::new(Vec::new());
        image.write_to(&mut tiff, image::ImageFormat::Tiff).unwrap();
        let tiff = tiff.into_inner();
        assert!(imaging::decode(&tiff).unwrap() == expected(&tiff), "{:?}", image.color());
    }
}

#[test]
fn a_picture_whose_pixels_are_all_there_needs_no_end() {
    let kind = Kind { depth: 8, color: 2, interlaced: false };
    let whole = png(kind, (37, 23), &[], |row| row.fill(90));
    // The end's length, name and checksum, and nothing in it.
    let endless = &whole[..whole.len() - 12];
    assert!(imaging::decode(endless).unwrap() == expected(&whole));
    assert!(imaging::decode(&endless[..endless.len() - 30]).is_err());
}
