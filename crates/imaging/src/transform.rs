//! What a backbone wants to see: shorter side to a size, centre crop, normalised values.
//!
//! The resize is Pillow's: a convolution whose kernel grows with the scale, over 8-bit values, horizontally first.
//! `fast_image_resize` works vertically first, so it is called once an axis.

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use serde::{Deserialize, Serialize};

/// A backbone's image transform; part of the model, never a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// The shorter side after resizing, in pixels; at least `crop`.
    pub resize: u32,
    /// Side of the centre square that is kept, in pixels.
    pub crop: u32,
    /// The resizing kernel.
    pub interpolation: Interpolation,
    /// Subtracted from each channel, in pixel values from 0 to 255.
    pub mean: [f32; 3],
    /// Divides each channel, in pixel values.
    pub std: [f32; 3],
}

/// A resizing kernel, as Pillow defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Triangle of support 1.
    Bilinear,
    /// Catmull-Rom spline (a = −0.5) of support 2.
    Bicubic,
}

impl Interpolation {
    fn filter(self) -> FilterType {
        match self {
            Interpolation::Bilinear => FilterType::Bilinear,
            Interpolation::Bicubic => FilterType::CatmullRom,
        }
    }
}

/// Where the crop lies along one axis.
struct Axis {
    /// Original pixels a resized pixel.
    scale: f64,
    /// First resized pixel that is kept.
    offset: u32,
}

impl Transform {
    /// The cropped square in 8 bits: what the network sees, for people.
    ///
    /// Resizes only what the crop keeps, so that a very long image costs no more than a square one.
    pub fn pixels(&self, image: &RgbImage) -> RgbImage {
        let (width, height) = image.dimensions();
        let [x, y] = self.axes(width, height);
        let across = (f64::from(x.offset) * x.scale, f64::from(self.crop) * x.scale);
        let wide =
            self.resize_one_axis(image, (self.crop, height), (across.0, 0.0, across.1, f64::from(height)));
        let down = (f64::from(y.offset) * y.scale, f64::from(self.crop) * y.scale);
        self.resize_one_axis(&wide, (self.crop, self.crop), (0.0, down.0, f64::from(self.crop), down.1))
    }

    /// Normalised values `[3, crop, crop]`: (pixel − mean) / std.
    pub fn apply(&self, image: &RgbImage) -> Vec<f32> {
        let pixels = self.pixels(image);
        let mut values = Vec::with_capacity(3 * (self.crop * self.crop) as usize);
        for channel in 0..3 {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            values.extend(pixels.pixels().map(|pixel| (f32::from(pixel.0[channel]) - mean) / std));
        }
        values
    }

    /// The box `[x0, y0, x1, y1]` that the crop keeps, in pixels of the original.
    pub fn visible_region(&self, width: u32, height: u32) -> [f32; 4] {
        let [x, y] = self.axes(width, height);
        let start = |axis: &Axis| f64::from(axis.offset) * axis.scale;
        let end = |axis: &Axis| f64::from(axis.offset + self.crop) * axis.scale;
        [start(&x), start(&y), end(&x), end(&y)].map(|edge| edge as f32)
    }

    /// torchvision's sizes: the longer side is floored, the crop's offset is rounded half to even.
    fn axes(&self, width: u32, height: u32) -> [Axis; 2] {
        let shorter = width.min(height).max(1);
        [width, height].map(|side| {
            let resized = (u64::from(self.resize) * u64::from(side) / u64::from(shorter)).max(1) as u32;
            let offset = (f64::from(resized.saturating_sub(self.crop)) / 2.0).round_ties_even() as u32;
            Axis { scale: f64::from(side) / f64::from(resized), offset }
        })
    }

    /// Resizes the box `(left, top, width, height)` of `image` to `size`; one of the two axes keeps its scale.
    fn resize_one_axis(&self, image: &RgbImage, size: (u32, u32), area: (f64, f64, f64, f64)) -> RgbImage {
        let mut resized = RgbImage::new(size.0, size.1);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(self.interpolation.filter()))
            .crop(area.0, area.1, area.2, area.3);
        // Fails only for boxes outside the image, which `axes` cannot give.
        let resize = Resizer::new().resize(image, &mut resized, &options);
        debug_assert!(resize.is_ok(), "{resize:?}");
        resized
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;

    fn transform(resize: u32, crop: u32) -> Transform {
        let interpolation = Interpolation::Bicubic;
        Transform { resize, crop, interpolation, mean: [127.0; 3], std: [128.0; 3] }
    }

    #[test]
    fn an_image_of_the_right_size_is_only_cropped_and_normalised() {
        let image = RgbImage::from_fn(8, 6, |x, y| Rgb([x as u8, y as u8, 255]));
        let transform = transform(6, 4);
        let pixels = transform.pixels(&image);
        assert_eq!(*pixels.get_pixel(0, 0), Rgb([2, 1, 255]));
        assert_eq!(transform.visible_region(8, 6), [2.0, 1.0, 6.0, 5.0]);
        let values = transform.apply(&image);
        assert_eq!(values.len(), 3 * 16);
        assert_eq!((values[0], values[32]), ((2.0 - 127.0) / 128.0, 1.0));
    }

    #[test]
    fn the_visible_region_follows_the_longer_side() {
        // 500×375 → 341×256 → the middle 224 of each.
        let [x0, y0, x1, y1] = transform(256, 224).visible_region(500, 375);
        assert!((x0 - 58.0 * 500.0 / 341.0).abs() < 1e-3 && (x1 - 282.0 * 500.0 / 341.0).abs() < 1e-3);
        assert!((y0 - 16.0 * 375.0 / 256.0).abs() < 1e-3 && (y1 - 240.0 * 375.0 / 256.0).abs() < 1e-3);
    }

    proptest! {
        #[test]
        fn any_shape_gives_the_crop_and_a_flat_image_stays_flat(
            width in 1u32..400, height in 1u32..400, value in any::<u8>(),
        ) {
            let image = RgbImage::from_pixel(width, height, Rgb([value; 3]));
            let pixels = transform(64, 56).pixels(&image);
            prop_assert_eq!(pixels.dimensions(), (56, 56));
            prop_assert!(pixels.pixels().all(|pixel| pixel.0.iter().all(|v| v.abs_diff(value) <= 1)));
            let [x0, y0, x1, y1] = transform(64, 56).visible_region(width, height);
            prop_assert!(x0 >= 0.0 && y0 >= 0.0 && x1 <= width as f32 * 1.0001 && y1 <= height as f32 * 1.0001);
        }
    }

    #[test]
    fn the_longest_and_thinnest_image_is_no_burden() {
        let image = RgbImage::from_pixel(crate::MAX_SIDE, 1, Rgb([9; 3]));
        assert_eq!(transform(256, 224).pixels(&image).dimensions(), (224, 224));
    }
}
