//! Where the model looked: one PNG an image, a tile a word, the photo lit by the attention.

use std::sync::Arc;

use anyhow::Context;
use artifacts::stage::Work;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_9X15_BOLD;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Alignment, Text};
use image::codecs::png::PngEncoder;
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma, Rgb, RgbImage};
use imaging::Transform;
use model::checkpoint::Model;

use crate::decode::Captioned;
use crate::references::References;

const TILE: u32 = 168;
const LABEL: u32 = 24;
const TILES_A_ROW: usize = 6;
/// Brightness where the model does not look at all.
const DARKEST: f32 = 0.2;

/// Draws the first `count` captioned images; returns the files written, none for decoders that do not attend.
pub(crate) fn draw(
    work: &Work,
    model: &Model,
    captions: &[Captioned],
    references: &References,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    // Of several sets, all have the same grid; the photo is drawn as the first one saw it.
    let features = model.header.features.first().context("the checkpoint names no features")?;
    let transform: Transform =
        serde_json::from_value(features.transform.clone()).context("the checkpoint's image transform")?;
    let grid = features.grid;
    let mut files = Vec::new();
    for (number, (captioned, reference)) in captions.iter().zip(&references.0).take(count).enumerate() {
        if captioned.attention.is_empty() {
            continue;
        }
        let bytes = std::fs::read(&reference.path).with_context(|| reference.path.display().to_string())?;
        let photo = imaging::decode(&bytes).with_context(|| reference.path.display().to_string())?;
        let seen = seen(&photo, &transform);
        let words: Vec<&str> = captioned.caption.split(' ').collect();
        let strip = strip(&seen, &words, &captioned.attention, grid);
        // Image ids may hold anything; file names are numbers with the id for people.
        let readable: String =
            captioned.image_id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let file = format!("attention/{number:03}-{readable}.png");
        artifacts::atomic::write(&work.path(&file), |out| {
            strip.write_with_encoder(PngEncoder::new(out)).map_err(std::io::Error::other)
        })
        .with_context(|| file.clone())?;
        files.push(file);
    }
    Ok(files)
}

/// The part of the photo that the crop leaves, as a tile.
fn seen(photo: &RgbImage, transform: &Transform) -> RgbImage {
    let [x0, y0, x1, y1] = transform.visible_region(photo.width(), photo.height());
    let (left, top) = (x0.max(0.0) as u32, y0.max(0.0) as u32);
    let (width, height) = ((x1 - x0).round().max(1.0) as u32, (y1 - y0).round().max(1.0) as u32);
    let crop = imageops::crop_imm(photo, left, top, width, height).to_image();
    let mut tile = imageops::resize(&crop, TILE, TILE, FilterType::CatmullRom);
    if transform.mirror {
        imageops::flip_horizontal_in_place(&mut tile);
    }
    tile
}

fn strip(seen: &RgbImage, words: &[&str], attention: &[Arc<[f32]>], grid: [usize; 2]) -> RgbImage {
    let tiles: Vec<(RgbImage, &str)> = std::iter::once((seen.clone(), ""))
        .chain(attention.iter().zip(words).map(|(look, word)| (lit(seen, look, grid), *word)))
        .collect();
    let (columns, rows) = (tiles.len().min(TILES_A_ROW) as u32, tiles.len().div_ceil(TILES_A_ROW) as u32);
    let mut canvas = RgbImage::from_pixel(columns * TILE, rows * (TILE + LABEL), Rgb([255; 3]));
    for (number, (tile, word)) in (0..).zip(&tiles) {
        let (column, row) = (number % TILES_A_ROW as u32, number / TILES_A_ROW as u32);
        let (x, y) = (column * TILE, row * (TILE + LABEL));
        imageops::replace(&mut canvas, tile, i64::from(x), i64::from(y + LABEL));
        let style = MonoTextStyle::new(&FONT_9X15_BOLD, Rgb888::BLACK);
        let middle = Point::new((x + TILE / 2) as i32, (y + LABEL - 8) as i32);
        let text = Text::with_alignment(word, middle, style, Alignment::Center);
        // Drawing on a canvas in memory cannot fail.
        let Ok(_) = text.draw(&mut Canvas(&mut canvas));
    }
    canvas
}

/// The tile, bright where the attention is, dark elsewhere; the brightest region is the most looked at.
fn lit(tile: &RgbImage, look: &[f32], grid: [usize; 2]) -> RgbImage {
    let most = look.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let map = ImageBuffer::from_fn(grid[1] as u32, grid[0] as u32, |x, y| {
        Luma([look.get(y as usize * grid[1] + x as usize).copied().unwrap_or(0.0) / most])
    });
    let map = imageops::resize(&map, TILE, TILE, FilterType::CatmullRom);
    let mut lit = tile.clone();
    for (pixel, Luma([share])) in lit.pixels_mut().zip(map.pixels()) {
        let brightness = DARKEST + (1.0 - DARKEST) * share.clamp(0.0, 1.0);
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
    fn the_tile_is_brightest_where_the_attention_is() {
        let tile = RgbImage::from_pixel(TILE, TILE, Rgb([200; 3]));
        let mut look = vec![0.0; 9];
        look[2] = 0.9; // top right of a 3×3 grid
        let lit = lit(&tile, &look, [3, 3]);
        let at = |x: u32, y: u32| lit.get_pixel(x, y).0[0];
        assert!(at(TILE * 5 / 6, TILE / 6) > 190);
        assert!(at(TILE / 6, TILE * 5 / 6) < 50);
    }

    #[test]
    fn every_word_gets_a_labelled_tile() {
        let seen = RgbImage::from_pixel(TILE, TILE, Rgb([200; 3]));
        let look: Arc<[f32]> = Arc::from([0.25f32; 4]);
        let words = ["a", "dog", "runs", "on", "the", "sand", "today"];
        let strip = strip(&seen, &words, &vec![look; words.len()], [2, 2]);
        assert_eq!((strip.width(), strip.height()), (6 * TILE, 2 * (TILE + LABEL)));
        let label = |column: u32, row: u32| {
            let area =
                imageops::crop_imm(&strip, column * TILE, row * (TILE + LABEL), TILE, LABEL).to_image();
            area.pixels().any(|pixel| pixel.0 == [0; 3])
        };
        assert!(!label(0, 0) && label(1, 0) && label(1, 1) && !label(2, 1));
    }
}
