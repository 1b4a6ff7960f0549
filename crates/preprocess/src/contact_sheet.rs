//! Many small pictures on one sheet, two lines of text under each.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use imaging::lettering::{Letters, write_centred};

/// Longest side of a picture in pixels.
const SIDE: u32 = 192;
const MARGIN: u32 = 8;
const LINE: u32 = 16;
const COLUMNS: usize = 4;
/// Characters that fit under a picture.
const CHARACTERS: usize = (SIDE / 7) as usize;

/// A picture and what is written under it.
pub(crate) struct Tile {
    picture: RgbImage,
    lines: [String; 2],
}

impl Tile {
    /// Scales the picture to its place, never cropping it; long names keep their end, where they differ.
    pub(crate) fn new(picture: &RgbImage, title: String, name: String) -> Tile {
        let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
        let scale = f64::from(SIDE) / width.max(height);
        let side = |length: f64| ((length * scale).round() as u32).clamp(1, SIDE);
        let picture = imageops::resize(picture, side(width), side(height), FilterType::Triangle);
        let length = name.chars().count();
        let name = match length.checked_sub(CHARACTERS) {
            None | Some(0) => name,
            Some(more) => "..".chars().chain(name.chars().skip(more + 2)).collect(),
        };
        Tile { picture, lines: [title, name] }
    }
}

/// The sheet, row by row.
pub(crate) fn draw(tiles: &[Tile]) -> RgbImage {
    let (width, height) = (SIDE + MARGIN, SIDE + 2 * LINE + MARGIN);
    let columns = tiles.len().clamp(1, COLUMNS);
    let rows = tiles.len().div_ceil(columns).max(1);
    let mut sheet =
        RgbImage::from_pixel(columns as u32 * width + MARGIN, rows as u32 * height + MARGIN, Rgb([255; 3]));
    for (number, tile) in tiles.iter().enumerate() {
        let left = MARGIN + (number % columns) as u32 * width;
        let top = MARGIN + (number / columns) as u32 * height;
        let (x, y) = (left + (SIDE - tile.picture.width()) / 2, top + (SIDE - tile.picture.height()) / 2);
        imageops::replace(&mut sheet, &tile.picture, i64::from(x), i64::from(y));
        for (line, text) in (1..).zip(&tile.lines) {
            write_centred(&mut sheet, text, left + SIDE / 2, top + SIDE + line * LINE, Letters::Small);
        }
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether any pixel of a line of text under tile number `column` is dark.
    fn is_written(sheet: &RgbImage, column: u32, line: u32) -> bool {
        let (left, top) = (MARGIN + column * (SIDE + MARGIN), MARGIN + SIDE + (line - 1) * LINE + 4);
        let area = imageops::crop_imm(sheet, left, top, SIDE, LINE).to_image();
        area.pixels().any(|pixel| pixel.0 == [0; 3])
    }

    #[test]
    fn pictures_of_any_shape_keep_it_and_have_their_lines_below() {
        let picture = |width, height| RgbImage::from_pixel(width, height, Rgb([200, 0, 0]));
        let tiles = [
            Tile::new(&picture(400, 200), "0.123".to_owned(), String::new()),
            Tile::new(&picture(1, 5000), "0.456".to_owned(), "a".repeat(400) + "z"),
        ];
        assert_eq!(tiles[0].picture.dimensions(), (SIDE, SIDE / 2));
        assert_eq!(tiles[1].picture.dimensions(), (1, SIDE));
        assert!(tiles[1].lines[1].starts_with("..a") && tiles[1].lines[1].ends_with('z'));
        assert_eq!(tiles[1].lines[1].len(), CHARACTERS);
        let sheet = draw(&tiles);
        assert_eq!(sheet.dimensions(), (2 * (SIDE + MARGIN) + MARGIN, SIDE + 2 * LINE + 2 * MARGIN));
        assert_eq!(sheet[(MARGIN, MARGIN + SIDE / 2)].0, [200, 0, 0]);
        assert_eq!(sheet[(MARGIN, MARGIN + SIDE / 2 - SIDE / 4 - 1)].0, [255; 3]);
        assert!(is_written(&sheet, 0, 1) && !is_written(&sheet, 0, 2) && is_written(&sheet, 1, 2));
    }

    #[test]
    fn a_full_row_is_followed_by_another() {
        let tile = || Tile::new(&RgbImage::new(10, 10), String::new(), String::new());
        let sheet = draw(&(0..COLUMNS + 1).map(|_| tile()).collect::<Vec<_>>());
        let rows = 2 * (SIDE + 2 * LINE + MARGIN) + MARGIN;
        assert_eq!(sheet.dimensions(), (COLUMNS as u32 * (SIDE + MARGIN) + MARGIN, rows));
    }
}
