//! Samples as decoders give them → 8-bit RGB: 16 bits rounded to 8, alpha over white, gray as three equal values.

use image::ColorType;

/// Which byte of a 16-bit sample comes first.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Order {
    Big,
    Native,
}

/// The RGB of a whole picture, in the memory of its samples where a pixel of them is no smaller than one of RGB.
pub(crate) fn convert(color: ColorType, width: usize, mut samples: Vec<u8>) -> Vec<u8> {
    let size = usize::from(color.bytes_per_pixel());
    let pixels = samples.len() / size;
    if size < 3 {
        let mut out = vec![0; pixels * 3];
        row(color, Order::Native, &samples, &mut out);
        return out;
    }
    if color != ColorType::Rgb8 {
        let mut line = vec![0; width * size];
        for y in 0..pixels / width {
            line.copy_from_slice(&samples[y * width * size..][..width * size]);
            row(color, Order::Native, &line, &mut samples[y * width * 3..][..width * 3]);
        }
        samples.truncate(pixels * 3);
    }
    samples
}

/// The RGB of whole pixels of CMYK. Where they are inverted, 255 is no ink. Rounds as Pillow does.
pub(crate) fn of_cmyk(mut samples: Vec<u8>, inverted: bool) -> Vec<u8> {
    if !inverted {
        samples.iter_mut().for_each(|ink| *ink = !*ink);
    }
    let times = |a: u8, b: u8| {
        let product = u32::from(a) * u32::from(b) + 128;
        (((product >> 8) + product) >> 8) as u8
    };
    let pixels = samples.len() / 4;
    for pixel in 0..pixels {
        let [inks @ .., key] = [0, 1, 2, 3].map(|channel| samples[pixel * 4 + channel]);
        let rgb = inks.map(|ink| key.saturating_sub(times(255 - ink, key)));
        samples[pixel * 3..][..3].copy_from_slice(&rgb);
    }
    samples.truncate(pixels * 3);
    samples
}

/// Writes the RGB of whole pixels into `out`. Colour types of floating point write nothing.
pub(crate) fn row(color: ColorType, order: Order, samples: &[u8], out: &mut [u8]) {
    let eight = |sample: [u8; 2]| {
        let sample = match order {
            Order::Big => u16::from_be_bytes(sample),
            Order::Native => u16::from_ne_bytes(sample),
        };
        ((u32::from(sample) + 128) / 257) as u8
    };
    match color {
        ColorType::L8 => fill(samples, out, |[gray]| [gray; 3]),
        ColorType::La8 => fill(samples, out, |[gray, alpha]| over_white([gray; 3], alpha)),
        ColorType::Rgb8 => fill(samples, out, |rgb| rgb),
        ColorType::Rgba8 => fill(samples, out, |[r, g, b, alpha]| over_white([r, g, b], alpha)),
        ColorType::L16 => fill(samples, out, |gray| [eight(gray); 3]),
        ColorType::La16 => {
            fill(samples, out, |[g, ray, a, lpha]| over_white([eight([g, ray]); 3], eight([a, lpha])))
        }
        ColorType::Rgb16 => {
            fill(samples, out, |[r, ed, g, reen, b, lue]| [[r, ed], [g, reen], [b, lue]].map(eight))
        }
        ColorType::Rgba16 => fill(samples, out, |[r, ed, g, reen, b, lue, a, lpha]| {
            over_white([[r, ed], [g, reen], [b, lue]].map(eight), eight([a, lpha]))
        }),
        _ => {}
    }
}

fn fill<const SIZE: usize>(samples: &[u8], out: &mut [u8], rgb: impl Fn([u8; SIZE]) -> [u8; 3]) {
    for (pixel, out) in samples.as_chunks::<SIZE>().0.iter().zip(out.as_chunks_mut::<3>().0) {
        *out = rgb(*pixel);
    }
}

fn over_white(rgb: [u8; 3], alpha: u8) -> [u8; 3] {
    let alpha = u32::from(alpha);
    rgb.map(|value| ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
}
