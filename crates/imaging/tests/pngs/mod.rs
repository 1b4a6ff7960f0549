//! PNGs made chunk by chunk, as no encoder would write them.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// The passes of Adam7: first column and row, steps to the next.
const PASSES: [(u32, u32, u32, u32); 7] =
    [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let checked = [&kind[..], content].concat();
    let crc = checked.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    });
    [&(content.len() as u32).to_be_bytes()[..], &checked, &(!crc).to_be_bytes()].concat()
}

/// How a PNG stores its samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) depth: u8,
    /// PNG's number of the colour type.
    pub(crate) color: u8,
    pub(crate) interlaced: bool,
}

impl Kind {
    fn row_bytes(self, width: u32) -> usize {
        let channels = [1, 0, 3, 1, 2, 0, 4][usize::from(self.color)];
        (width as usize * channels * usize::from(self.depth)).div_ceil(8)
    }
}

/// A PNG of samples that `fill` writes row by row, with chunks of one's own before its data.
pub(crate) fn png(
    kind: Kind,
    (width, height): (u32, u32),
    extra: &[u8],
    mut fill: impl FnMut(&mut [u8]),
) -> Vec<u8> {
    let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = [&sizes[..], &[kind.depth, kind.color, 0, 0, u8::from(kind.interlaced)]].concat();
    let mut data = Vec::new();
    let passes = if kind.interlaced { &PASSES[..] } else { &[(0, 0, 1, 1)] };
    for (x, y, right, down) in passes {
        let columns = width.saturating_sub(*x).div_ceil(*right);
        for _ in (*y..height).step_by(*down as usize).filter(|_| columns > 0) {
            let start = data.len() + 1;
            // The filter "none", then the samples.
            data.resize(start + kind.row_bytes(columns), 0);
            fill(&mut data[start..]);
        }
    }
    let signature = b"\x89PNG\r\n\x1a\n";
    [&signature[..], &chunk(b"IHDR", &header), extra, &chunk(b"IDAT", &zlib(&data)), &chunk(b"IEND", b"")]
        .concat()
}
