//! Images as networks take them.

use artifacts::features::FeatureSpec;
use image::RgbImage;
use imaging::Transform;

use super::{SpecError, transform};

/// Images as a network takes them. Knows no tensor, so threads can share it.
#[derive(Clone, Debug)]
pub struct Squares {
    transform: Transform,
    at_once: usize,
}

impl Squares {
    /// Squares for the features of `spec`, of which a network takes so many `at_once`.
    ///
    /// # Errors
    ///
    /// When the specification holds no transform.
    pub fn new(spec: &FeatureSpec, at_once: usize) -> Result<Squares, SpecError> {
        Ok(Squares { transform: transform(spec)?, at_once })
    }

    /// Most images in one pass of the network: small on a CPU, where the activations of a batch should stay in cache.
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// What makes a square of an image.
    pub fn transform(&self) -> &Transform {
        &self.transform
    }

    /// Numbers of one square: 3 × side × side.
    pub fn numbers(&self) -> usize {
        3 * (self.transform.crop as usize).pow(2)
    }

    /// The square of an image, normalised, into `out [3 × side × side]`.
    pub fn write(&self, image: &RgbImage, out: &mut [f32]) {
        self.transform.normalize(&self.transform.pixels(image), out);
    }

    /// Squares that were cut out before, normalised: `[squares × 3 × side × side]`.
    pub fn normalized(&self, squares: &[&RgbImage]) -> Vec<f32> {
        let mut values = vec![0.0; squares.len() * self.numbers()];
        for (square, out) in squares.iter().zip(values.chunks_mut(self.numbers())) {
            self.transform.normalize(square, out);
        }
        values
    }
}
