//! Where a model looked: a photo lit by its attention, and a strip of such photos, a tile per word.
//!
//! A tile is the whole photo. The map lies where the network's crop of it was, enlarged by a bicubic kernel; what the
//! crop left out was never seen and stays dark.

use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma, Rgb, RgbImage};

use crate::Transform;
use crate::lettering::{Letters, write_centred};

/// A column is never narrower, so that words keep their place; in pixels, as all sizes here.
const NARROWEST: u32 = 112;
const LABEL: u32 = 24;
const TILES_A_ROW: usize = 6;
/// Brightness where the model does not look at all.
const DARKEST: f32 = 0.2;

/// A photo as people are shown it, scaled but never cropped, and the part of it that the network saw.
pub struct View {
    /// The whole photo, turned upright.
    pub photo: RgbImage,
    /// Left, top, right and bottom of what the crop keeps, as shares of width and height.
    pub seen: [f64; 4],
}

impl View {
    /// Scales a decoded photo so that its longer side has `longest` pixels.
    pub fn new(photo: &RgbImage, transform: &Transform, longest: u32) -> View {
        let seen = seen_share(transform, photo.width(), photo.height());
        let scale = f64::from(longest) / f64::from(photo.width().max(photo.height()).max(1));
        let side = |pixels: u32| ((f64::from(pixels) * scale).round() as u32).max(1);
        let (width, height) = (side(photo.width()), side(photo.height()));
        View { photo: imageops::resize(photo, width, height, FilterType::Triangle), seen }
    }
}

/// The part of a photo of `width` × `height` pixels that the crop keeps, as shares of its sides.
pub fn seen_share(transform: &Transform, width: u32, height: u32) -> [f64; 4] {
    let [x0, y0, x1, y1] = transform.visible_region(width, height).map(f64::from);
    let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
    [x0 / width, y0 / height, x1 / width, y1 / height]
}

/// Attention as it lies on the photo, `[rows × columns]`, from that of a network that was shown a mirror image and looked
/// at the other side.
pub fn unmirrored(look: &[f32], columns: usize) -> Arc<[f32]> {
    look.chunks(columns.max(1)).flat_map(|row| row.iter().rev().copied()).collect()
}

/// The photo, then a tile per word, six tiles per row, each word above its tile.
///
/// `attention` holds one map per word, `[rows × columns]` row by row; `grid` is `[rows, columns]`.
pub fn strip(view: &View, words: &[&str], attention: &[Arc<[f32]>], grid: [usize; 2]) -> RgbImage {
    let tiles: Vec<(RgbImage, &str)> = std::iter::once((view.photo.clone(), ""))
        .chain(attention.iter().zip(words).map(|(look, word)| (lit(view, look, grid), *word)))
        .collect();
    let (width, height) = (view.photo.width().max(NARROWEST), view.photo.height() + LABEL);
    let (columns, rows) = (tiles.len().min(TILES_A_ROW) as u32, tiles.len().div_ceil(TILES_A_ROW) as u32);
    let mut canvas = RgbImage::from_pixel(columns * width, rows * height, Rgb([255; 3]));
    for (number, (tile, word)) in (0..).zip(&tiles) {
        let (x, y) = (number % TILES_A_ROW as u32 * width, number / TILES_A_ROW as u32 * height);
        let left = x + (width - tile.width()) / 2;
        imageops::replace(&mut canvas, tile, i64::from(left), i64::from(y + LABEL));
        write_centred(&mut canvas, word, x + width / 2, y + LABEL - 8, Letters::Bold);
    }
    canvas
}

/// The photo, bright where the attention is, dark elsewhere; the brightest region is the most looked at.
///
/// `look` is `[rows × columns]` row by row; `grid` is `[rows, columns]`.
pub fn lit(view: &View, look: &[f32], grid: [usize; 2]) -> RgbImage {
    let most = look.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let map = ImageBuffer::from_fn(grid[1] as u32, grid[0] as u32, |x, y| {
        Luma([look.get(y as usize * grid[1] + x as usize).copied().unwrap_or(0.0) / most])
    });
    let mut lit = view.photo.clone();
    let edge = |share: f64, side: u32| (share * f64::from(side)).round().max(0.0) as u32;
    let [x0, y0, x1, y1] = view.seen;
    let (left, right) = (edge(x0, lit.width()), edge(x1, lit.width()));
    let (top, bottom) = (edge(y0, lit.height()), edge(y1, lit.height()));
    let (width, height) = (right.saturating_sub(left).max(1), bottom.saturating_sub(top).max(1));
    let map = imageops::resize(&map, width, height, FilterType::CatmullRom);
    for (x, y, pixel) in lit.enumerate_pixels_mut() {
        let seen = x.checked_sub(left).zip(y.checked_sub(top)).filter(|&(x, y)| x < width && y < height);
        let share = seen.map_or(0.0, |(x, y)| map.get_pixel(x, y).0[0].clamp(0.0, 1.0));
        let brightness = DARKEST + (1.0 - DARKEST) * share;
        pixel.0 = pixel.0.map(|value| (f32::from(value) * brightness) as u8);
    }
    lit
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: u32 = 192;

    fn view(width: u32, height: u32, seen: [f64; 4]) -> View {
        View { photo: RgbImage::from_pixel(width, height, Rgb([200; 3])), seen }
    }

    #[test]
    fn the_tile_is_brightest_where_the_attention_is() {
        let mut look = vec![0.0; 9];
        look[2] = 0.9; // top right of a 3×3 grid
        let lit = lit(&view(SIDE, SIDE, [0.0, 0.0, 1.0, 1.0]), &look, [3, 3]);
        let at = |x: u32, y: u32| lit.get_pixel(x, y).0[0];
        assert!(at(SIDE * 5 / 6, SIDE / 6) > 190);
        assert!(at(SIDE / 6, SIDE * 5 / 6) < 50);
    }

    #[test]
    fn the_map_lies_where_the_crop_was_and_the_rest_stays_dark() {
        // The middle square of a photo twice as wide as high: its first column begins a quarter from the left.
        let lit = lit(&view(200, 100, [0.25, 0.0, 0.75, 1.0]), &[1.0, 0.0, 1.0, 0.0], [2, 2]);
        let at = |x: u32| lit.get_pixel(x, 50).0[0];
        assert_eq!((at(10), at(49), at(190)), (40, 40, 40));
        assert_eq!(at(52), 200);
        assert!(at(75) > 180 && at(125) < 60, "{} {}", at(75), at(125));
        assert_eq!(at(148), 40);
    }

    #[test]
    fn maps_are_enlarged_by_a_bicubic_kernel() {
        let look = [0.0, 0.0, 1.0, 1.0];
        let lit = lit(&view(400, 400, [0.0, 0.0, 1.0, 1.0]), &look, [1, 4]);
        let share = |x: u32| (f32::from(lit.get_pixel(x, 200).0[0]) / 200.0 - DARKEST) / (1.0 - DARKEST);
        // Catmull-Rom between the middles of the second and third cell, where the last two cells weigh 1.
        for x in [160, 175, 200, 225] {
            let t = (f64::from(x) + 0.5 - 150.0) / 100.0;
            let (near, far) = (-3.0 * t.powi(3) + 4.0 * t.powi(2) + t, t.powi(3) - t.powi(2));
            let expected = 0.5 * (near + far);
            assert!((f64::from(share(x)) - expected).abs() < 0.02, "{x}: {} is not {expected}", share(x));
        }
    }

    #[test]
    fn a_mirrored_map_changes_sides_row_by_row() {
        assert_eq!(*unmirrored(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    }

    #[test]
    fn every_word_gets_a_labelled_tile() {
        let look: Arc<[f32]> = Arc::from([0.25f32; 4]);
        let words = ["a", "dog", "runs", "on", "the", "sand", "today"];
        let view = view(160, 120, [0.125, 0.0, 0.875, 1.0]);
        let strip = strip(&view, &words, &vec![look; words.len()], [2, 2]);
        assert_eq!((strip.width(), strip.height()), (6 * 160, 2 * (120 + LABEL)));
        let label = |column: u32, row: u32| {
            let area = imageops::crop_imm(&strip, column * 160, row * (120 + LABEL), 160, LABEL).to_image();
            area.pixels().any(|pixel| pixel.0 == [0; 3])
        };
        assert!(!label(0, 0) && label(1, 0) && label(1, 1) && !label(2, 1));
    }
}
