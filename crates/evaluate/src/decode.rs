//! Captions of a whole split from cached features.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context as _;
use imaging::Transform;
use imaging::attention::unmirrored;
use model::checkpoint::Model;
use model::grids::{self, GridStore};
use model::search::beam_search;
use stage::Context;
use stage::progress::Progress;

use crate::Settings;
use crate::captioned::{Beam, Captioned};
use crate::references::References;

const IMAGES_AT_ONCE: usize = 25;

/// How the photos were shown to the network.
pub(crate) struct Seen {
    pub(crate) transform: Transform,
    /// Rows and columns of the attention.
    pub(crate) grid: [usize; 2],
}

/// What the model's features were made with. Of several sets, all have the same grid; the first says how.
pub(crate) fn seen(model: &Model) -> anyhow::Result<Seen> {
    let features = model.header.features.first().context("the checkpoint names no features")?;
    Ok(Seen { transform: grids::transform(features)?, grid: features.grid })
}

/// The best caption of every reference image, in the order of the references.
pub(crate) fn captions(
    model: &Model,
    features: &[(PathBuf, String)],
    settings: &Settings,
    references: &References,
    context: &Context,
) -> anyhow::Result<Vec<Captioned>> {
    let store = GridStore::open(features, settings.split, 0)?;
    for (wanted, found) in model.header.features.iter().zip(store.specs()) {
        anyhow::ensure!(
            wanted == found,
            "the checkpoint was trained on features of {} (weights {}), these are of {} (weights {}): run the train stage again",
            wanted.name(),
            wanted.weights_sha256,
            found.name(),
            found.weights_sha256
        );
    }
    let index = store.index();
    let seen_as = seen(model)?;
    let progress = Progress::new("captions", "images", references.0.len(), context.quiet);
    let device = model.device();
    let mut by_id: HashMap<&str, Captioned> = HashMap::new();
    for images in references.0.chunks(IMAGES_AT_ONCE) {
        let (seen, unseen): (Vec<_>, Vec<_>) =
            images.iter().map(|image| image.image_id.as_str()).partition(|id| index.contains_key(id));
        // Without features there is no caption, and no caption scores 0: leaving the image out would flatter.
        by_id.extend(unseen.into_iter().map(|id| (id, Captioned::missing(id))));
        if seen.is_empty() {
            continue;
        }
        let images: Vec<usize> = seen.iter().map(|id| index[id]).collect();
        let grid = store.tensor(&images, device)?;
        let memory = tch::no_grad(|| model.decoder.encode(&grid, false))?;
        let beams = beam_search(model.decoder.as_ref(), &memory, &settings.search)?;
        for (id, beams) in seen.into_iter().zip(beams) {
            let mut attention = beams.first().map(|best| best.attention.clone()).unwrap_or_default();
            if seen_as.transform.mirror {
                attention = attention.iter().map(|look| unmirrored(look, seen_as.grid[1])).collect();
            }
            let mut beams = beams.into_iter().map(|hypothesis| Beam {
                caption: model.header.vocabulary.decode(&hypothesis.ids).join(" "),
                log_probability: hypothesis.log_probability,
                finished: hypothesis.finished,
            });
            let best = beams.next().ok_or_else(|| anyhow::anyhow!("no caption for image {id}"))?;
            let image_id = id.to_owned();
            by_id.insert(id, Captioned { image_id, best, others: beams.collect(), attention });
        }
        progress.add(images.len());
    }
    Ok(references.0.iter().filter_map(|image| by_id.remove(image.image_id.as_str())).collect())
}
