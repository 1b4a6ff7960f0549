//! Where a model looked: the photo once for every word, lit by the attention.
//!
//! A tile is the whole photo. The map lies where the network's crop of it was, enlarged by a bicubic kernel; what the
//! crop left out was never seen and stays dark.

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_9X15_BOLD;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Alignment, Text};
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma, Rgb, RgbImage};

/// Longer side of a tile in pixels.
const TILE: u32 = 192;
/// A column is never narrower, so that words keep their place.
const NARROWEST: u32 = 112;
const LABEL: u32 = 24;
const TILES_A_ROW: usize = 6;
/// Brightness where the model does not look at all.
const DARKEST: f32 = 0.2;

/// A word, and the share of attention on each region of a grid, row by row from the top left of `region`.
pub type Look<'a> = (&'a str, &'a [f32]);

/// Draws a photo and then a labelled tile a word, six tiles a row.
///
/// `region` is the box `[x0, y0, x1, y1]` of the photo, in its pixels, that the grid of `[rows, columns]` divides evenly
/// ([`Transform::visible_region`](crate::Transform::visible_region)).
pub fn attention_strip(photo: &RgbImage, region: [f32; 4], grid: [usize; 2], looks: &[Look]) -> RgbImage {
    let scale = TILE as f32 / photo.width().max(photo.height()).max(1) as f32;
    let side = |pixels: u32| ((pixels as f32 * scale).round() as u32).max(1);
    let photo = imageops::resize(photo, side(photo.width()), side(photo.height()), FilterType::Triangle);
    let region = region.map(|edge| (edge * scale).round().max(0.0) as u32);
    let lit = looks.iter().map(|&(word, look)| (lit(&photo, region, grid, look), word));
    let tiles: Vec<(RgbImage, &str)> = std::iter::once((photo.clone(), "")).chain(lit).collect();
    let (width, height) = (photo.width().max(NARROWEST), photo.height() + LABEL);
    let (columns, rows) = (tiles.len().min(TILES_A_ROW) as u32, tiles.len().div_ceil(TILES_A_ROW) as u32);
    let mut canvas = RgbImage::from_pixel(columns * width, rows * height, Rgb([255; 3]));
    for (number, (tile, word)) in (0..).zip(&tiles) {
        let (x, y) = (number % TILES_A_ROW as u32 * width, number / TILES_A_ROW as u32 * height);
        let left = x + (width - tile.width()) / 2;
        imageops::replace(&mut canvas, tile, i64::from(left), i64::from(y + LABEL));
        let style = MonoTextStyle::new(&FONT_9X15_BOLD, Rgb888::BLACK);
        let middle = Point::new((x + width / 2) as i32, (y + LABEL - 8) as i32);
        let text = Text::with_alignment(word, middle, style, Alignment::Center);
        // Drawing on a canvas in memory cannot fail.
        let Ok(_) = text.draw(&mut Canvas(&mut canvas));
    }
    canvas
}

/// The photo, bright where the attention is, dark elsewhere; the brightest region is the most looked at.
fn lit(photo: &RgbImage, region: [u32; 4], grid: [usize; 2], look: &[f32]) -> RgbImage {
    let most = look.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let map = ImageBuffer::from_fn(grid[1] as u32, grid[0] as u32, |x, y| {
        Luma([look.get(y as usize * grid[1] + x as usize).copied().unwrap_or(0.0) / most])
    });
    let [left, top, right, bottom] = region;
    let (width, height) = (right.saturating_sub(left).max(1), bottom.saturating_sub(top).max(1));
    let map = imageops::resize(&map, width, height, FilterType::CatmullRom);
    let mut lit = photo.clone();
    for (x, y, pixel) in lit.enumerate_pixels_mut() {
        let seen = x.checked_sub(left).zip(y.checked_sub(top)).filter(|&(x, y)| x < width && y < height);
        let share = seen.map_or(0.0, |(x, y)| map.get_pixel(x, y).0[0].clamp(0.0, 1.0));
        let brightness = DARKEST + (1.0 - DARKEST) * share;
        pixel.0 = pixel.0.map(|value| (f32::from(value) * brightness) as u8);
    }
    lit
}

/// An image as something that text can be drawn on.
struct Canvas<'a>(&'a mut RgbImage);

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        for Pixel(point, color) in pixels {
            let (x, y) = (u32::try_from(point.x), u32::try_from(point.y));
            if let (Ok(x), Ok(y)) = (x, y)
                && let Some(pixel) = self.0.get_pixel_mut_checked(x, y)
            {
                *pixel = Rgb([color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_bright_where_the_attention_is_and_dark_where_nothing_was_seen() {
        let photo = RgbImage::from_pixel(960, 480, Rgb([200; 3]));
        let mut look = [0.0; 9];
        look[2] = 0.9; // top right of a 3×3 grid over the middle square
        let strip = attention_strip(&photo, [240.0, 0.0, 720.0, 480.0], [3, 3], &[("dog", &look)]);
        assert_eq!((strip.width(), strip.height()), (2 * TILE, TILE / 2 + LABEL));
        let at = |x: f32, y: f32| {
            let (x, y) = (TILE as f32 * (1.0 + x), LABEL as f32 + TILE as f32 / 2.0 * y);
            strip.get_pixel(x as u32, y as u32).0[0]
        };
        assert!(at(0.66, 0.17) > 190);
        assert!(at(0.33, 0.83) < 50);
        assert_eq!([at(0.1, 0.1), at(0.9, 0.1)], [40; 2]);
    }

    #[test]
    fn every_word_gets_a_labelled_tile() {
        let photo = RgbImage::from_pixel(10, 400, Rgb([200; 3]));
        let words = ["a", "dog", "runs", "on", "the", "sand", "today"];
        let looks: Vec<Look> = words.iter().map(|&word| (word, &[0.25; 4][..])).collect();
        let strip = attention_strip(&photo, [0.0, 195.0, 10.0, 205.0], [2, 2], &looks);
        assert_eq!((strip.width(), strip.height()), (6 * NARROWEST, 2 * (TILE + LABEL)));
        let label = |column: u32, row: u32| {
            let (x, y) = (column * NARROWEST, row * (TILE + LABEL));
            let area = imageops::crop_imm(&strip, x, y, NARROWEST, LABEL).to_image();
            area.pixels().any(|pixel| pixel.0 == [0; 3])
        };
        assert!(!label(0, 0) && label(1, 0) && label(1, 1) && !label(2, 1));
    }
}
