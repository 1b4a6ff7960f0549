//! A view of the images as a transform.

use artifacts::View;
use imaging::Transform;

/// Both sides of the larger square are a multiple of this, which every backbone's stride divides.
const LARGE_MULTIPLE: u32 = 64;

/// What a backbone's own transform becomes for a view.
pub fn transform_of(view: View, own: &Transform) -> Transform {
    let (crop, resize) = if view.large {
        let crop = (own.crop * 4 / 3).next_multiple_of(LARGE_MULTIPLE);
        (crop, (f64::from(own.resize) * f64::from(crop) / f64::from(own.crop)).round() as u32)
    } else {
        (own.crop, own.resize)
    };
    Transform { crop, resize, squash: own.squash || view.squash, mirror: view.flip, ..own.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::BackboneSpec;

    #[test]
    fn the_large_view_sees_the_same_part_of_the_image_on_a_finer_grid() {
        for spec in BackboneSpec::all() {
            let large = transform_of(View { large: true, ..View::default() }, &spec.transform);
            assert!(large.check().is_ok());
            assert!(spec.grid(large.crop) > spec.grid(spec.transform.crop), "{}", spec.name);
            let [own, larger] = [&spec.transform, &large].map(|transform| transform.visible_region(500, 375));
            assert!(own.iter().zip(larger).all(|(a, b)| (a - b).abs() < 2.0), "{own:?} {larger:?}");
        }
    }
}
