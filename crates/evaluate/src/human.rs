//! The human line: what a person's caption scores against those of the others.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::captioned::Captioned;
use crate::references::References;

/// One reference of each image, drawn by `seed`, as its caption, and the others as what it is compared with.
///
/// Images with a single reference drop out. One reference fewer lowers every score: people are a little better than
/// this line says.
pub(crate) fn captions(references: &References, seed: u64) -> (References, Vec<Captioned>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let several = references.0.iter().filter(|image| image.captions.len() > 1);
    let (others, captions) = several
        .map(|image| {
            let mut others = image.clone();
            let chosen = random.random_range(0..image.captions.len());
            others.tokens.remove(chosen);
            let caption = others.captions.remove(chosen);
            (others, Captioned::given(&image.image_id, &caption))
        })
        .unzip();
    (References(others), captions)
}
