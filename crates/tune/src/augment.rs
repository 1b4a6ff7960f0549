//! Images that are never the same twice: a part of what the view shows, perhaps mirrored, in other light.

use image::{RgbImage, imageops};
use imaging::Transform;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Widest and tallest part, as a ratio of its sides relative to the view's.
const MOST_STRETCHED: f64 = 4.0 / 3.0;
/// Red, green and blue as the eye weighs them (ITU-R BT.601).
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// How far an image may be changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Augment {
    /// Share of the view that is shown at least.
    pub(crate) least_area: f64,
    /// Brightness, contrast and saturation change by a factor of up to 1 ± this.
    pub(crate) light: f64,
}

/// What is done to one image at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    /// `[x, y, width, height]` as shares of the view.
    part: [f64; 4],
    mirror: bool,
    /// Factors.
    brightness: f32,
    contrast: f32,
    saturation: f32,
}

impl Augment {
    /// The change of image `image` in `epoch`, decided by the seed alone; only what `may_mirror` is mirrored.
    pub(crate) fn change(&self, seed: u64, epoch: usize, image: usize, may_mirror: bool) -> Change {
        let mut random = ChaCha8Rng::seed_from_u64(learn::step_seed(seed, epoch));
        random.set_stream(image as u64 + 1);
        let area = random.random_range(self.least_area..=1.0);
        let stretch = MOST_STRETCHED.powf(random.random_range(-1.0..=1.0));
        let side = |stretch: f64| (area * stretch).sqrt().min(1.0);
        let [width, height] = [side(stretch), side(1.0 / stretch)];
        let mut offset = |side: f64| random.random_range(0.0..=1.0 - side);
        let part = [offset(width), offset(height), width, height];
        let mirror = random.random::<bool>() && may_mirror;
        let mut factor = || self.factor(&mut random);
        Change { part, mirror, brightness: factor(), contrast: factor(), saturation: factor() }
    }

    fn factor(&self, random: &mut impl Rng) -> f32 {
        random.random_range(1.0 - self.light..=1.0 + self.light) as f32
    }
}

impl Change {
    /// The changed image as the network sees it: `[3 × side × side]`, normalised.
    pub(crate) fn apply(&self, image: &RgbImage, transform: &Transform, out: &mut [f32]) {
        let (width, height) = image.dimensions();
        let [x0, y0, x1, y1] = transform.visible_region(width, height).map(f64::from);
        let [x, y, part_width, part_height] = self.part;
        let (left, across) = pixels(x0 + x * (x1 - x0), part_width * (x1 - x0), width);
        let (top, down) = pixels(y0 + y * (y1 - y0), part_height * (y1 - y0), height);
        let part = imageops::crop_imm(image, left, top, across, down).to_image();
        let mirror = transform.mirror != self.mirror;
        let squeezed = Transform { squash: true, mirror, ..transform.clone() };
        let mut square = squeezed.pixels(&part);
        self.light(&mut square);
        transform.normalize(&square, out);
    }

    /// Brightness, contrast about the mean luma, saturation about each pixel's own, in this order.
    fn light(&self, square: &mut RgbImage) {
        let luma = |pixel: &[u8; 3]| {
            pixel.iter().zip(LUMA).map(|(&value, weight)| f32::from(value) * weight).sum::<f32>()
        };
        let sum: f32 = square.pixels().map(|pixel| luma(&pixel.0)).sum();
        let mean = self.brightness * sum / (square.width() * square.height()).max(1) as f32;
        for pixel in square.pixels_mut() {
            let contrasted = |value: f32| (value * self.brightness - mean) * self.contrast + mean;
            let gray = contrasted(luma(&pixel.0));
            for value in &mut pixel.0 {
                let coloured = (contrasted(f32::from(*value)) - gray) * self.saturation + gray;
                *value = coloured.round().clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// The whole pixels of a stretch along a side: where it begins, and how many it has, at least one.
fn pixels(start: f64, length: f64, side: u32) -> (u32, u32) {
    let start = (start.floor() as u32).min(side.saturating_sub(1));
    let length = (length.round() as u32).clamp(1, (side - start).max(1));
    (start, length)
}

#[cfg(test)]
mod tests {
    use imaging::Interpolation;

    use super::*;

    fn transform(side: u32) -> Transform {
        Transform {
            resize: side,
            crop: side,
            squash: true,
            mirror: false,
            interpolation: Interpolation::Bilinear,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }

    fn photo() -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, 90]))
    }

    #[test]
    fn no_change_shows_what_extraction_shows() {
        let none = Change {
            part: [0.0, 0.0, 1.0, 1.0],
            mirror: false,
            brightness: 1.0,
            contrast: 1.0,
            saturation: 1.0,
        };
        for view in [transform(16), Transform { mirror: true, ..transform(16) }] {
            let mut found = vec![0.0; 3 * 16 * 16];
            none.apply(&photo(), &view, &mut found);
            assert_eq!(found, view.apply(&photo()));
        }
    }

    #[test]
    fn changes_are_drawn_from_the_seed_and_stay_inside() {
        let augment = Augment { least_area: 0.5, light: 0.2 };
        let mut mirrored = 0;
        for image in 0..500 {
            let change = augment.change(7, 3, image, true);
            assert_eq!(change, augment.change(7, 3, image, true));
            assert_ne!(change, augment.change(7, 4, image, true));
            let [x, y, width, height] = change.part;
            assert!(x >= 0.0 && y >= 0.0 && x + width <= 1.0 + 1e-9 && y + height <= 1.0 + 1e-9);
            assert!(width * height >= 0.5 / MOST_STRETCHED, "{change:?}");
            mirrored += usize::from(change.mirror);
            assert!(!augment.change(7, 3, image, false).mirror, "a sided image was mirrored");
        }
        assert!((200..300).contains(&mirrored), "{mirrored} of 500");
    }

    #[test]
    fn light_is_known_by_its_numbers() {
        let change = |brightness, contrast, saturation| Change {
            part: [0.0, 0.0, 1.0, 1.0],
            mirror: false,
            brightness,
            contrast,
            saturation,
        };
        let lit = |change: Change| {
            let mut square =
                RgbImage::from_fn(2, 1, |x, _| image::Rgb([if x == 0 { 100 } else { 200 }, 50, 50]));
            change.light(&mut square);
            [square[(0, 0)].0, square[(1, 0)].0]
        };
        assert_eq!(lit(change(1.0, 1.0, 1.0)), [[100, 50, 50], [200, 50, 50]]);
        assert_eq!(lit(change(0.5, 1.0, 1.0)), [[50, 25, 25], [100, 25, 25]]);
        // Without contrast all is the mean luma, 50 + 0.299 · 100; without saturation each pixel is its own.
        assert_eq!(lit(change(1.0, 0.0, 1.0)), [[80; 3]; 2]);
        assert_eq!(lit(change(1.0, 1.0, 0.0)), [[65; 3], [95; 3]]);
    }
}
