//! Where the model looked: one PNG per image, a tile per word.

use anyhow::Context;
use image::codecs::png::PngEncoder;
use imaging::{Transform, attention};
use stage::guard::Work;

use crate::captioned::Captioned;
use crate::references::References;
use crate::view::open;

/// Longer side of a photo in pixels.
const TILE: u32 = 192;
/// Draws the first `count` captioned images; returns the files written, none for decoders that do not attend.
pub(crate) fn draw(
    work: &Work,
    transform: &Transform,
    grid: [usize; 2],
    captions: &[Captioned],
    references: &References,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for (number, (captioned, reference)) in captions.iter().zip(&references.0).take(count).enumerate() {
        if captioned.attention.is_empty() {
            continue;
        }
        let view = open(&reference.photo, transform, TILE)?;
        let words: Vec<&str> = captioned.best.caption.split(' ').collect();
        let strip = attention::strip(&view, &words, &captioned.attention, grid);
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
