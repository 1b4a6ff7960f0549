//! Captions of a whole split from cached features.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use artifacts::cli::Context;
use artifacts::features::FeatureStore;
use artifacts::progress::Progress;
use model::checkpoint::Model;
use model::search::beam_search;
use tch::{Kind, Tensor};

use crate::Settings;
use crate::references::References;

const IMAGES_AT_ONCE: usize = 25;

/// A captioned image.
pub(crate) struct Captioned {
    pub(crate) image_id: String,
    pub(crate) caption: String,
    pub(crate) log_probability: f64,
    pub(crate) finished: bool,
    /// Share of attention on each region, one entry a word, for decoders that attend.
    pub(crate) attention: Vec<Arc<[f32]>>,
}

impl Captioned {
    fn empty(image_id: &str) -> Captioned {
        Captioned {
            image_id: image_id.to_owned(),
            caption: String::new(),
            log_probability: 0.0,
            finished: false,
            attention: vec![],
        }
    }
}

/// The best caption of every reference image, in the order of the references.
pub(crate) fn captions(
    model: &Model,
    features: &[(PathBuf, String)],
    settings: &Settings,
    references: &References,
    context: &Context,
) -> anyhow::Result<Vec<Captioned>> {
    let store = FeatureStore::open(features, settings.split, 0)?;
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
    let index: HashMap<&str, usize> =
        store.image_ids().iter().enumerate().map(|(index, id)| (id.as_str(), index)).collect();
    let progress = Progress::new("captions", "images", references.0.len(), context.quiet);
    let device = model.device();
    let mut by_id: HashMap<&str, Captioned> = HashMap::new();
    for images in references.0.chunks(IMAGES_AT_ONCE) {
        let (seen, unseen): (Vec<_>, Vec<_>) =
            images.iter().map(|image| image.image_id.as_str()).partition(|id| index.contains_key(id));
        // Without features there is no caption, and no caption scores 0: leaving the image out would flatter.
        by_id.extend(unseen.into_iter().map(|id| (id, Captioned::empty(id))));
        if seen.is_empty() {
            continue;
        }
        let images: Vec<usize> = seen.iter().map(|id| index[id]).collect();
        let shape = [seen.len() as i64, store.regions() as i64, store.channels() as i64];
        let grid = Tensor::f_from_slice(&store.read(&images)?)?
            .f_view(shape)?
            .to_device(device)
            .to_kind(Kind::Float);
        let memory = tch::no_grad(|| model.decoder.encode(&grid, false));
        let beams = beam_search(model.decoder.as_ref(), &memory, &settings.search)?;
        for (id, beams) in seen.into_iter().zip(beams) {
            let best = beams.into_iter().next();
            let best = best.ok_or_else(|| anyhow::anyhow!("no caption for image {id}"))?;
            by_id.insert(
                id,
                Captioned {
                    image_id: id.to_owned(),
                    caption: model.header.vocabulary.decode(&best.ids).join(" "),
                    log_probability: best.log_probability,
                    finished: best.finished,
                    attention: best.attention,
                },
            );
        }
        progress.add(images.len());
    }
    Ok(references.0.iter().filter_map(|image| by_id.remove(image.image_id.as_str())).collect())
}
