//! Image files as a network takes them, on the threads of whoever asks.

use std::collections::BTreeMap;

use artifacts::images::ImageRow;
use image::RgbImage;
use images::ImageSource;
use imaging::Transform;
use rayon::ThreadPool;
use rayon::prelude::*;
use tch::{Device, TchError, Tensor};

use crate::augment::{Augment, Change};
use crate::examples::Examples;

/// The train images, never twice the same.
pub(crate) struct Feed<'a> {
    pub(crate) examples: &'a Examples,
    pub(crate) reader: Reader,
    pub(crate) augment: Augment,
    /// Decides the order of the images and all changes.
    pub(crate) seed: u64,
    /// Where images are read.
    pub(crate) threads: &'a ThreadPool,
}

impl Feed<'_> {
    /// Some images as they are shown in an epoch.
    pub(crate) fn batch(&self, images: &[usize], epoch: usize) -> Pixels {
        let wanted = images.iter().map(|&image| {
            let example = &self.examples.images[image];
            (image, &example.row, Some(self.augment.change(self.seed, epoch, image, !example.sided)))
        });
        let wanted: Vec<Wanted> = wanted.collect();
        let square = |wanted: &Wanted| self.reader.square(wanted);
        Pixels::of(&wanted, self.threads.install(|| wanted.par_iter().map(square).collect()))
    }
}

/// An image with its number and, in training, its change.
pub(crate) type Wanted<'a> = (usize, &'a ImageRow, Option<Change>);

/// What reads images, and what a network sees of each.
pub(crate) struct Reader {
    pub(crate) source: ImageSource,
    pub(crate) transform: Transform,
}

/// Images that a network takes together.
#[derive(Default)]
pub(crate) struct Pixels {
    /// Numbers of those that could be read, as whoever asked counts them.
    pub(crate) images: Vec<usize>,
    /// `[images × 3 × side × side]`, normalised.
    pub(crate) values: Vec<f32>,
    /// Why others could not be, by place.
    pub(crate) skipped: BTreeMap<String, String>,
}

impl Pixels {
    fn of(wanted: &[Wanted], squares: Vec<anyhow::Result<Vec<f32>>>) -> Pixels {
        let mut pixels = Pixels::default();
        for ((image, row, _), square) in wanted.iter().zip(squares) {
            match square {
                Ok(square) => {
                    pixels.images.push(*image);
                    pixels.values.extend(square);
                }
                Err(error) => {
                    drop(pixels.skipped.insert(row.locator().to_string(), format!("skipped: {error:#}")))
                }
            }
        }
        pixels
    }
}

impl Reader {
    /// Numbers of one image: 3 × side × side.
    fn numbers(&self) -> usize {
        3 * (self.transform.crop as usize).pow(2)
    }

    /// Reads images one after the other.
    pub(crate) fn read(&self, wanted: &[Wanted]) -> Pixels {
        Pixels::of(wanted, wanted.iter().map(|wanted| self.square(wanted)).collect())
    }

    /// Values that were read as a network takes them: `[images, 3, side, side]` on the device.
    pub(crate) fn tensor(&self, values: &[f32], device: Device) -> Result<Tensor, TchError> {
        let side = i64::from(self.transform.crop);
        Tensor::f_from_slice(values)?.f_view([-1, 3, side, side])?.f_to_device(device)
    }

    fn square(&self, (_, row, change): &Wanted) -> anyhow::Result<Vec<f32>> {
        let image = self.image(row)?;
        let mut square = vec![0.0; self.numbers()];
        match change {
            Some(change) => change.apply(&image, &self.transform, &mut square),
            None => self.transform.normalize(&self.transform.pixels(&image), &mut square),
        }
        Ok(square)
    }

    fn image(&self, row: &ImageRow) -> anyhow::Result<RgbImage> {
        Ok(imaging::decode(&self.source.image(row)?)?)
    }
}
