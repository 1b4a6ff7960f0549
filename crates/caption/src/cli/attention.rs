//! A picture of where the model looked.

use std::sync::Arc;

use anyhow::Context;
use caption::{Captioned, RgbImage};
use imaging::Transform;
use imaging::attention::{View, strip, unmirrored};

/// Longer side of a photo in the strip, in pixels.
const TILE: u32 = 192;

/// The photo once for every word of the best caption, lit by the attention.
pub(crate) fn draw(
    photo: &RgbImage,
    transform: &Transform,
    captioned: &Captioned,
) -> anyhow::Result<RgbImage> {
    let [_, columns] = captioned.grid;
    let (mut words, mut looks): (Vec<&str>, Vec<Arc<[f32]>>) = (Vec::new(), Vec::new());
    for word in &captioned.best().words {
        let look = word.attention.clone().context(
            "--attention: this model's decoder does not attend: name another with --model (soft_attention, say)",
        )?;
        words.push(&word.text);
        // What a network saw in the mirror lies on the other side of the photo.
        looks.push(match captioned.seen.mirrored {
            true => unmirrored(&look, columns),
            false => look,
        });
    }
    Ok(strip(&View::new(photo, transform, TILE), &words, &looks, captioned.grid))
}
