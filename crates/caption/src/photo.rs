//! A photo on its way: what the networks are shown of it, and what they saw.

use std::sync::Arc;

use half::f16;
use image::RgbImage;
use serde::Serialize;

/// The part of a photo that the network is shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// Width of the photo in pixels.
    pub width: u32,
    /// Height of the photo in pixels.
    pub height: u32,
    /// The box `[x0, y0, x1, y1]`, in pixels of the photo, which the grid of attention divides evenly.
    pub region: [f32; 4],
    /// Whether the grid's columns run from right to left of the photo.
    pub mirrored: bool,
}

impl Seen {
    /// The same part of the photo in another size.
    pub(crate) fn scale_to(&mut self, (width, height): (u32, u32)) {
        if (width, height) == (self.width, self.height) {
            return;
        }
        let [x, y] = [width as f32 / self.width as f32, height as f32 / self.height as f32];
        let [x0, y0, x1, y1] = self.region;
        *self = Seen { width, height, region: [x0 * x, y0 * y, x1 * x, y1 * y], ..*self };
    }
}

/// A photo, cut down to the squares that the networks are shown: a few hundred kilobytes whatever the photo's size.
#[derive(Clone, Debug)]
pub struct Photo {
    /// One square a network, in 8 bits.
    pub(crate) squares: Vec<RgbImage>,
    pub(crate) seen: Seen,
}

impl Photo {
    /// The photo's size and the part of it that is shown.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// What the networks see in a photo, in half precision as the feature cache holds it.
#[derive(Clone, Debug)]
pub struct Features {
    /// `[regions × channels]`, row-major; of several networks, the channels side by side.
    pub(crate) grid: Arc<[f16]>,
    pub(crate) seen: Seen,
}

impl Features {
    /// The grid: `[regions × channels]`, row-major.
    pub fn grid(&self) -> &[f16] {
        &self.grid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_grows_with_the_photo() {
        let mut seen = Seen { width: 40, height: 30, region: [5.0, 0.0, 35.0, 30.0], mirrored: false };
        let same = seen;
        seen.scale_to((40, 30));
        assert_eq!(seen, same);
        seen.scale_to((80, 60));
        assert_eq!(seen, Seen { width: 80, height: 60, region: [10.0, 0.0, 70.0, 60.0], mirrored: false });
    }
}
