//! Captions of a whole split from cached features.

use std::panic::resume_unwind;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use anyhow::Context as _;
use imaging::Transform;
use imaging::attention::unmirrored;
use model::grids;
use model::search::{SearchSettings, beam_search};
use shared::FeaturePlace;
use stage::Context;
use stage::progress::Progress;
use torch::checkpoint::Model;
use torch::grids::GridStore;

use crate::Settings;
use crate::captioned::{Beam, Captioned};
use crate::references::{Reference, References};

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
///
/// Batches of a fixed size are searched side by side, each on one thread of libtorch: however many cores there are, the
/// captions and their probabilities are the same to the last bit.
pub(crate) fn captions(
    model: &Model,
    features: &[(FeaturePlace, String)],
    settings: &Settings,
    references: &References,
    context: &Context,
) -> anyhow::Result<Vec<Captioned>> {
    let open = |(place, set): &(FeaturePlace, String)| place.open(set);
    let sets = features.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let store = GridStore::open(sets, settings.split, 0)?;
    for warning in store.warnings() {
        context.note(&format!("  {warning}"));
    }
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
    let progress = Progress::new("captions", "images", references.0.len(), context.quiet);
    let view = seen(model)?;
    let batches: Vec<&[Reference]> = references.0.chunks(IMAGES_AT_ONCE).collect();
    let next = AtomicUsize::new(0);
    let work = |model: Model| {
        // Sums that threads share round otherwise than those of one.
        torch::threads::single();
        let mut done = vec![];
        while let Some(number) = Some(next.fetch_add(1, Relaxed)).filter(|&number| number < batches.len()) {
            let batch = batches[number];
            let captioned = caption(&model, &settings.search, &store, &view, batch)
                .inspect_err(|_| next.store(batches.len(), Relaxed))?;
            done.push((number, captioned));
            progress.add(batch.len());
        }
        anyhow::Ok(done)
    };
    let workers = if model.device().is_cuda() { 1 } else { rayon::current_num_threads() };
    let models = (0..workers).map(|_| model.share()).collect::<Result<Vec<_>, _>>()?;
    let found = thread::scope(|scope| {
        let work = &work;
        let spawn = |model| {
            let started = thread::Builder::new().spawn_scoped(scope, move || work(model));
            started.context("cannot start a thread")
        };
        let workers = models.into_iter().map(spawn).collect::<Result<Vec<_>, _>>()?;
        let ended =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    found.sort_by_key(|(number, _)| *number);
    Ok(found.into_iter().flat_map(|(_, captioned)| captioned).collect())
}

/// The best captions of some images, in their order, by one search.
fn caption(
    model: &Model,
    search: &SearchSettings,
    store: &GridStore,
    view: &Seen,
    images: &[Reference],
) -> anyhow::Result<Vec<Captioned>> {
    let ids = || images.iter().map(|image| image.image_id.as_str());
    let grids: Vec<usize> = ids().filter_map(|id| store.index().get(id)).collect();
    let mut found = if grids.is_empty() {
        vec![]
    } else {
        let grid = store.tensor(&grids, model.device())?;
        let memory = tch::no_grad(|| model.network.encode(&grid, None))?;
        beam_search(&mut &model.network, &memory, search)?
    }
    .into_iter();
    let captioned = ids().map(|id| {
        if store.index().get(id).is_none() {
            // Without features there is no caption, and no caption scores 0: leaving the image out would flatter.
            return Ok(Captioned::missing(id));
        }
        let beams = found.next().unwrap_or_default();
        let mut attention = beams.first().map(|best| best.attention.clone()).unwrap_or_default();
        if view.transform.mirror {
            attention = attention.iter().map(|look| unmirrored(look, view.grid[1])).collect();
        }
        let mut beams = beams.into_iter().map(|hypothesis| Beam {
            caption: model.header.vocabulary.decode(&hypothesis.ids).join(" "),
            log_probability: hypothesis.log_probability,
            finished: hypothesis.finished,
        });
        let best = beams.next().with_context(|| format!("no caption for image {id}"))?;
        Ok(Captioned { image_id: id.to_owned(), best, others: beams.collect(), attention })
    });
    captioned.collect()
}
