//! What a backbone wants to see: shorter side to a size, centre crop, normalised values.
//!
//! Sizes and offsets are those of torchvision's `Resize` and `CenterCrop`, which the published weights were trained with.

use image::{RgbImage, imageops};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::resize::{Interpolation, resize};

/// Largest [`Transform::crop`] and [`Transform::resize`]; a file that asks for more is not one of ours.
pub const MAX_CROP: u32 = 4096;

/// A backbone's image transform; part of the model, never a setting. One read from a file has passed [`check`](Self::check).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Transform {
    /// The shorter side after resizing, in pixels; at least `crop`.
    pub resize: u32,
    /// Side of the square that the network sees, in pixels.
    pub crop: u32,
    /// Shows the whole image, squeezed into the square, in place of the middle of the resized one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub squash: bool,
    /// Mirrors the square left to right.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirror: bool,
    /// The resizing kernel.
    pub interpolation: Interpolation,
    /// Subtracted from each channel, in pixel values from 0 to 255.
    pub mean: [f32; 3],
    /// Divides each channel, in pixel values.
    pub std: [f32; 3],
}

/// Why a transform makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TransformError {
    /// A crop that the resized image cannot hold.
    #[error("image transform: crop {crop} and resize {resize} must obey 1 ≤ crop ≤ resize ≤ {MAX_CROP}")]
    Size {
        /// Side of the square that is cut out, in pixels.
        crop: u32,
        /// Shorter side after the resize, in pixels.
        resize: u32,
    },
    /// A mean that is not finite, or a deviation that is not finite and positive.
    #[error("image transform: mean {mean:?} must be finite, std {std:?} finite and above 0")]
    Scale {
        /// The mean of each channel.
        mean: [f32; 3],
        /// The deviation of each channel.
        std: [f32; 3],
    },
}

impl Transform {
    /// Whether the sizes fit each other and the normalisation gives finite values.
    ///
    /// # Errors
    ///
    /// A crop of 0, one larger than the resize, a resize beyond [`MAX_CROP`], a mean that is not finite, or a
    /// deviation that is not finite and positive.
    pub fn check(&self) -> Result<(), TransformError> {
        let &Transform { resize, crop, mean, std, .. } = self;
        if crop == 0 || crop > resize || resize > MAX_CROP {
            return Err(TransformError::Size { crop, resize });
        }
        let finite = mean.iter().chain(&std).all(|value| value.is_finite());
        if !finite || std.iter().any(|&value| value <= 0.0) {
            return Err(TransformError::Scale { mean, std });
        }
        Ok(())
    }

    /// The cropped square in 8 bits: what the network sees, for people.
    ///
    /// Resizes only what the crop keeps, so a very long image costs no more than a square one. An image without pixels
    /// gives black.
    pub fn pixels(&self, image: &RgbImage) -> RgbImage {
        let region = self.region(image.width(), image.height());
        let mut pixels = resize(image, region, self.crop, self.interpolation);
        if self.mirror {
            imageops::flip_horizontal_in_place(&mut pixels);
        }
        pixels
    }

    /// Writes (pixel − mean) / std of an image of any size `[height, width]` into `out`, `[3, height, width]`.
    ///
    /// Values of `out` beyond that are left alone; it should have `3 × height × width` of them.
    pub fn normalize(&self, pixels: &RgbImage, out: &mut [f32]) {
        let plane = (pixels.width() * pixels.height()).max(1) as usize;
        for (channel, out) in out.chunks_mut(plane).take(3).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for (out, pixel) in out.iter_mut().zip(pixels.pixels()) {
                *out = (f32::from(pixel.0[channel]) - mean) / std;
            }
        }
    }

    /// [`pixels`](Self::pixels), normalised: `[3, crop, crop]`.
    pub fn apply(&self, image: &RgbImage) -> Vec<f32> {
        let pixels = self.pixels(image);
        let mut values = vec![0.0; pixels.len()];
        self.normalize(&pixels, &mut values);
        values
    }

    /// The box `[x0, y0, x1, y1]` that the square shows of an image of `width` × `height`, in its pixels.
    pub fn visible_region(&self, width: u32, height: u32) -> [f32; 4] {
        self.region(width, height).map(|edge| edge as f32)
    }

    fn region(&self, width: u32, height: u32) -> [f64; 4] {
        if self.squash {
            return [0.0, 0.0, f64::from(width), f64::from(height)];
        }
        let shorter = width.min(height);
        let (x0, x1) = self.kept(width, shorter);
        let (y0, y1) = self.kept(height, shorter);
        [x0, y0, x1, y1]
    }

    /// What the crop keeps of a side: the resized side is floored, the crop's offset rounded half to even.
    fn kept(&self, side: u32, shorter: u32) -> (f64, f64) {
        let (side, crop) = (u64::from(side), u64::from(self.crop));
        let resized = (u64::from(self.resize) * side / u64::from(shorter.max(1))).max(crop);
        let offset = ((resized - crop) as f64 / 2.0).round_ties_even() as u64;
        // Multiplied before it is divided: the last edge is then the side itself, not a rounding error beyond it.
        let edge = |pixel: u64| (pixel * side) as f64 / resized.max(1) as f64;
        (edge(offset), edge(offset + crop))
    }
}

// The derives above give `Transform::serialize` and `Transform::deserialize`; the traits add the check.
impl Serialize for Transform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Transform::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Transform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let transform = Transform::deserialize(deserializer)?;
        transform.check().map_err(D::Error::custom)?;
        Ok(transform)
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use proptest::prelude::*;

    use super::*;

    fn transform(resize: u32, crop: u32) -> Transform {
        let interpolation = Interpolation::Bicubic;
        let (mean, std) = ([127.0; 3], [128.0; 3]);
        Transform { resize, crop, squash: false, mirror: false, interpolation, mean, std }
    }

    #[test]
    fn an_image_of_the_right_size_is_only_cropped_and_normalised() {
        let image = RgbImage::from_fn(8, 6, |x, y| Rgb([x as u8, y as u8, 255]));
        let transform = transform(6, 4);
        assert_eq!(transform.pixels(&image), imageops::crop_imm(&image, 2, 1, 4, 4).to_image());
        assert_eq!(transform.visible_region(8, 6), [2.0, 1.0, 6.0, 5.0]);
        let values = transform.apply(&image);
        assert_eq!(values.len(), 3 * 16);
        assert_eq!((values[0], values[16], values[32]), ((2.0 - 127.0) / 128.0, (1.0 - 127.0) / 128.0, 1.0));
    }

    #[test]
    fn a_mirrored_or_squeezed_square_shows_what_it_should() {
        let image = RgbImage::from_fn(8, 6, |x, y| Rgb([x as u8, y as u8, 255]));
        let mirrored = Transform { mirror: true, ..transform(6, 4) };
        assert_eq!(mirrored.pixels(&image), imageops::flip_horizontal(&transform(6, 4).pixels(&image)));
        let squashed = Transform { squash: true, ..transform(6, 4) };
        assert_eq!(squashed.visible_region(8, 6), [0.0, 0.0, 8.0, 6.0]);
        let pixels = squashed.pixels(&RgbImage::from_fn(40, 8, |x, _| Rgb([(x / 10 * 60) as u8; 3])));
        assert!(pixels[(0, 0)].0[0] < 10 && pixels[(3, 0)].0[0] > 170, "{pixels:?}");
    }

    #[test]
    fn the_visible_region_follows_the_longer_side() {
        // 500×375 → 341×256 → the middle 224 of each; an offset of 58.5 is rounded to the even 58.
        let [x0, y0, x1, y1] = transform(256, 224).visible_region(500, 375);
        assert!((x0 - 58.0 * 500.0 / 341.0).abs() < 1e-3 && (x1 - 282.0 * 500.0 / 341.0).abs() < 1e-3);
        assert!((y0 - 16.0 * 375.0 / 256.0).abs() < 1e-3 && (y1 - 240.0 * 375.0 / 256.0).abs() < 1e-3);
    }

    #[test]
    fn the_longest_and_thinnest_image_is_no_burden() {
        for (width, height) in [(crate::MAX_SIDE, 1), (1, crate::MAX_SIDE), (1, 1)] {
            let pixels = transform(256, 224).pixels(&RgbImage::from_pixel(width, height, Rgb([9; 3])));
            assert_eq!(pixels, RgbImage::from_pixel(224, 224, Rgb([9; 3])));
        }
        assert_eq!(transform(256, 224).pixels(&RgbImage::new(0, 0)), RgbImage::new(224, 224));
    }

    #[test]
    fn a_whole_side_is_kept_without_a_rounding_error() {
        // 224 × (29 / 224) is a little more than 29 in 64-bit floating point.
        let image = RgbImage::from_pixel(29, 29, Rgb([200; 3]));
        assert_eq!(transform(224, 224).visible_region(29, 29), [0.0, 0.0, 29.0, 29.0]);
        assert_eq!(transform(224, 224).pixels(&image), RgbImage::from_pixel(224, 224, Rgb([200; 3])));
    }

    #[test]
    fn json_round_trips_and_nonsense_is_refused() {
        let json = serde_json::to_value(transform(256, 224)).unwrap();
        assert_eq!(json["interpolation"], "bicubic");
        assert_eq!(serde_json::from_value::<Transform>(json.clone()).unwrap(), transform(256, 224));
        let with = |key: &str, value: serde_json::Value| {
            let mut json = json.clone();
            json[key] = value;
            serde_json::from_value::<Transform>(json).unwrap_err().to_string()
        };
        assert!(with("crop", 257.into()).contains("crop 257 and resize 256"));
        assert!(with("crop", 0.into()).contains("1 ≤ crop"));
        assert!(with("resize", u32::MAX.into()).contains("4096"));
        assert!(with("std", serde_json::json!([1.0, 0.0, 1.0])).contains("above 0"));
        assert!(with("scale", 1.into()).contains("unknown field `scale`"));
    }

    proptest! {
        #[test]
        fn a_flat_image_of_any_shape_stays_flat_to_the_edges(
            width in 1u32..400, height in 1u32..400, value: u8, crop in 1u32..64, margin in 0u32..16,
        ) {
            let transform = transform(crop + margin, crop);
            let pixels = transform.pixels(&RgbImage::from_pixel(width, height, Rgb([value; 3])));
            prop_assert_eq!(pixels.dimensions(), (crop, crop));
            prop_assert!(pixels.iter().all(|v| v.abs_diff(value) <= 1));
            let [x0, y0, x1, y1] = transform.visible_region(width, height);
            prop_assert!(x0 >= 0.0 && y0 >= 0.0 && x1 <= width as f32 && y1 <= height as f32);
        }
    }
}
