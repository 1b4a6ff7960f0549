//! A picture of where the model looked.

use anyhow::Context;
use caption::{Captioned, RgbImage};
use imaging::attention_strip;

/// The photo once for every word of the best caption, lit by the attention.
pub(crate) fn strip(photo: &RgbImage, captioned: &Captioned) -> anyhow::Result<RgbImage> {
    let Captioned { grid, seen, .. } = captioned;
    let mut looks = Vec::new();
    for word in &captioned.best().words {
        let attention = word.attention.as_deref().context(
            "--attention: this model's decoder does not attend: name another with --model (soft_attention, say)",
        )?;
        let mut look = attention.to_vec();
        if seen.mirrored {
            look.chunks_mut(grid[1].max(1)).for_each(<[f32]>::reverse);
        }
        looks.push((word.text.as_str(), look));
    }
    let looks: Vec<_> = looks.iter().map(|(word, look)| (*word, look.as_slice())).collect();
    Ok(attention_strip(photo, seen.region, *grid, &looks))
}
