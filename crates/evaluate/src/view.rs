//! A photo as people are shown it, and the part of it that the network saw.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use image::RgbImage;
use image::imageops::{self, FilterType};
use imaging::Transform;

/// A photo scaled down, never cropped.
pub(crate) struct View {
    pub(crate) photo: RgbImage,
    /// Left, top, right and bottom of what the crop keeps, as shares of width and height.
    pub(crate) seen: [f64; 4],
}

impl View {
    /// Decodes a photo and scales it so that its longer side has `longest` pixels.
    pub(crate) fn open(path: &Path, transform: &Transform, longest: u32) -> anyhow::Result<View> {
        let name = || path.display().to_string();
        let photo = imaging::decode(&std::fs::read(path).with_context(name)?).with_context(name)?;
        let seen = seen_share(transform, photo.width(), photo.height());
        let scale = f64::from(longest) / f64::from(photo.width().max(photo.height()));
        let side = |pixels: u32| ((f64::from(pixels) * scale).round() as u32).max(1);
        let (width, height) = (side(photo.width()), side(photo.height()));
        Ok(View { photo: imageops::resize(&photo, width, height, FilterType::Triangle), seen })
    }
}

/// The part of a photo of `width` × `height` pixels that the crop keeps, as shares of its sides.
pub(crate) fn seen_share(transform: &Transform, width: u32, height: u32) -> [f64; 4] {
    let [x0, y0, x1, y1] = transform.visible_region(width, height).map(f64::from);
    let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
    [x0 / width, y0 / height, x1 / width, y1 / height]
}

/// Attention as it lies on the photo: a network that was shown a mirror image looked at the other side.
pub(crate) fn unmirrored(attention: &[Arc<[f32]>], columns: usize) -> Vec<Arc<[f32]>> {
    let mirror = |map: &Arc<[f32]>| -> Arc<[f32]> {
        map.chunks(columns.max(1)).flat_map(|row| row.iter().rev().copied()).collect()
    };
    attention.iter().map(mirror).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirrored_map_changes_sides_row_by_row() {
        let map: Arc<[f32]> = Arc::from([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(*unmirrored(&[map], 3)[0], [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    }
}
