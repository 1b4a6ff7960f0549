//! Photos of phones with more than a hundred megapixels.
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use image::{GrayImage, Luma};
use imaging::{decode, memory_needed, probe};

/// A gray JPEG of any size: each of its blocks has the codes for "as the one before" and "no more", six bits in all.
fn gray_jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
    encoder.encode_image(&GrayImage::from_pixel(8, 8, Luma([128]))).unwrap();
    let segment = |marker| bytes.windows(2).position(|pair| pair == [0xff, marker]).unwrap();
    let (frame, scan) = (segment(0xc0), segment(0xda));
    let data = scan + 2 + usize::from(u16::from_be_bytes([bytes[scan + 2], bytes[scan + 3]]));
    bytes[frame + 5..][..4].copy_from_slice(&[height.to_be_bytes(), width.to_be_bytes()].concat());
    bytes.truncate(data);
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    // 001010 four times.
    bytes.extend([0x28, 0xa2, 0x8a].iter().cycle().take((blocks * 6).div_ceil(8)));
    bytes.extend([0xff, 0xd9]);
    bytes
}

#[test]
fn a_photo_beyond_a_hundred_megapixels_is_read_at_a_part_of_its_size() {
    for ((width, height), decoded) in [
        ((4000, 3000), (4000, 3000)),
        // 108 and 200 megapixels.
        ((12_000, 9_000), (6_000, 4_500)),
        ((16_320, 12_240), (8_160, 6_120)),
    ] {
        let bytes = gray_jpeg(width, height);
        assert_eq!(probe(&bytes).unwrap(), (width.into(), height.into()));
        let needed = memory_needed(&bytes).unwrap();
        let pixels = u64::from(decoded.0) * u64::from(decoded.1);
        assert!((3 * pixels..4 * pixels + (16 << 20)).contains(&needed), "{needed}");
        let picture = decode(&bytes).unwrap();
        assert_eq!(picture.dimensions(), decoded);
        assert!(picture.iter().all(|value| *value == 128));
    }
}
