//! JPEGs that decoders would fill with gray are refused; what is only untidy is read.
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail it")]

use std::path::PathBuf;

use image::RgbImage;
use imaging::{ImageError, decode};

/// Enough to see, and enough of a scan to lose a part of.
fn jpeg() -> Vec<u8> {
    let picture = RgbImage::from_fn(320, 240, |x, y| {
        image::Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x ^ y) * 3 % 256) as u8])
    });
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&picture).unwrap();
    bytes
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/decode").join(name)).unwrap()
}

/// Where the data of the first scan begins.
fn scan(bytes: &[u8]) -> usize {
    let marker = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    marker + 2 + usize::from(u16::from_be_bytes([bytes[marker + 2], bytes[marker + 3]]))
}

/// The file without the data of its scan from some share of it on, but with its end.
fn cut(bytes: &[u8], share: f64) -> Vec<u8> {
    let start = scan(bytes);
    let end = start + ((bytes.len() - start) as f64 * share) as usize;
    let mut cut = bytes[..end].to_vec();
    while cut.last() == Some(&0xff) {
        cut.pop();
    }
    cut.extend([0xff, 0xd9]);
    cut
}

#[test]
fn a_photo_that_would_be_partly_gray_is_refused() {
    let (whole, progressive) = (jpeg(), fixture("progressive.jpg"));
    assert!(decode(&whole).is_ok());
    for share in [0.1, 0.5, 0.9] {
        let mut zeros = whole.clone();
        let (start, end) = (scan(&whole), whole.len() - 2);
        zeros[start + ((end - start) as f64 * share) as usize..end].fill(0);
        for (name, bytes) in
            [("cut", cut(&whole, share)), ("zeros", zeros), ("a progressive one", cut(&progressive, share))]
        {
            let read = decode(&bytes).map(|_| ());
            assert!(matches!(read, Err(ImageError::Damaged(_))), "{name}, {share}: {read:?}");
        }
    }
    // Restart intervals that are not those that were written.
    let mut restarts = fixture("restarts.jpg");
    let start = scan(&restarts);
    let marker = restarts[start..].windows(2).position(|pair| pair == [0xff, 0xd0]).unwrap() + start;
    restarts.drain(marker..marker + 2);
    assert!(matches!(decode(&restarts), Err(ImageError::Damaged(_))));
}

#[test]
fn what_cameras_and_editors_leave_between_segments_does_no_harm() {
    let whole = jpeg();
    let picture = decode(&whole).unwrap();
    let before_end = [&whole[..whole.len() - 2], &[0; 24], &[0xff, 0xd9]].concat();
    let behind_end = [&whole[..], &[0; 4096]].concat();
    let second = 4 + usize::from(u16::from_be_bytes([whole[4], whole[5]]));
    let stray = [&whole[..second], &[0; 8], &whole[second..]].concat();
    let mut adobe = whole.clone();
    // An Adobe segment with a colour transform that nobody knows.
    adobe.splice(2..2, *b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x07");
    for (name, bytes) in [
        ("before the end", before_end),
        ("behind it", behind_end),
        ("between two segments", stray),
        ("Adobe", adobe),
    ] {
        assert!(decode(&bytes).is_ok_and(|read| read == picture), "{name}");
    }
}

#[test]
fn what_libjpeg_does_not_read_is_called_by_its_name() {
    for (marker, precision, name) in [
        (0xc3, 8, "a lossless JPEG"),
        (0xc5, 8, "a hierarchical JPEG"),
        (0xf7, 8, "a JPEG-LS image"),
        (0xc1, 12, "a JPEG of 12 bits per channel"),
    ] {
        let mut bytes = jpeg();
        let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        bytes[frame + 1] = marker;
        bytes[frame + 4] = precision;
        let error = decode(&bytes).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name} is not read: save it as a JPEG")), "{error}");
    }
}
