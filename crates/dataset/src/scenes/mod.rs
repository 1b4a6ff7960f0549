//! The demo dataset: drawn scenes of coloured objects, with captions that are true of them.
//!
//! A scene is sampled (`scene`: what is where), drawn (`draw`, `background`, `item`, `shapes`, `sketch`) and described
//! (`grammar`); `world` holds what all of them talk about.
//!
//! Invariant: scene *i* depends on the seed and *i* alone, so a larger dataset begins with the smaller one.

mod background;
mod draw;
mod grammar;
mod item;
mod scene;
mod shapes;
mod sketch;
#[cfg(test)]
mod tests;
mod world;

use std::io::Cursor;

use image::{ImageError, ImageFormat, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Width and height of a scene in pixels.
pub const SIDE: u32 = 256;

/// Captions per scene, as many as Flickr8k has per photo.
pub const CAPTIONS: usize = 5;

/// A drawn and described scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Its number in the dataset, from 0.
    pub index: u64,
    /// `SIDE` × `SIDE` pixels of 8-bit sRGB.
    pub image: RgbImage,
    /// One to four, those of a group side by side in the list.
    pub objects: Vec<Object>,
    /// Different lower-case sentences of 6 to 16 words, all true.
    pub captions: [String; CAPTIONS],
}

/// An object as the captions speak of it, and where it was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What it is, in the singular, as the captions name it.
    pub noun: &'static str,
    /// Its colour, as the captions name it.
    pub color: &'static str,
    /// `small`, `medium` or `large`.
    pub size: &'static str,
    /// Objects of one group share noun, colour and size, and the captions name them together.
    pub group: usize,
    /// `[x0, y0, x1, y1]` in pixels, inside the picture.
    pub bbox: [f32; 4],
}

/// The first `count` scenes of the dataset that `seed` decides.
pub fn generate(count: u64, seed: u64) -> impl Iterator<Item = Scene> {
    (0..count).map(move |index| generate_one(index, seed))
}

/// Scene `index` of the dataset that `seed` decides.
pub fn generate_one(index: u64, seed: u64) -> Scene {
    let mut rng = rng_of(index, seed);
    let plan = scene::sample(&mut rng);
    let captions = grammar::describe(&plan, &mut rng);
    let image = draw::draw(&plan, &mut rng);
    Scene { index, image, objects: plan.objects(), captions }
}

/// The captions of scene `index` alone, without drawing it.
pub fn describe_one(index: u64, seed: u64) -> [String; CAPTIONS] {
    let mut rng = rng_of(index, seed);
    let plan = scene::sample(&mut rng);
    grammar::describe(&plan, &mut rng)
}

/// All randomness of a scene.
fn rng_of(index: u64, seed: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}

impl Scene {
    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    /// Only what the encoder reports; writing to memory gives it no reason to.
    pub fn png(&self) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Cursor::new(Vec::new());
        self.image.write_to(&mut bytes, ImageFormat::Png)?;
        Ok(bytes.into_inner())
    }
}
