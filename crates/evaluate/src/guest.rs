//! A captioner of others that looks at the same images: what it says stands beside what the models say.

use std::path::Path;

use anyhow::Context as _;
use caption::{Captioner, Options, SearchSettings};
use rayon::prelude::*;
use stage::Context;
use stage::progress::Progress;

use crate::captioned::{Beam, Captioned};
use crate::references::{Reference, References};

/// A file of `export`, with its own settings of the search.
pub(crate) struct Guest(Captioner);

impl Guest {
    /// Opens the file; a checkpoint of `train` finds its backbones where the run has its weights.
    pub(crate) fn open(path: &Path, context: &Context) -> anyhow::Result<Guest> {
        let options = Options { weights: context.run.weights.clone() };
        Ok(Guest(Captioner::open(path, &options)?))
    }

    pub(crate) fn search(&self) -> &SearchSettings {
        self.0.search_settings()
    }

    /// The best caption of every reference image, in the order of the references. Each image is looked at alone, so that the
    /// number of cores changes nothing; one that cannot be read has no caption.
    pub(crate) fn captions(
        &self,
        references: &References,
        context: &Context,
    ) -> anyhow::Result<Vec<Captioned>> {
        let progress = Progress::new("captions", "images", references.0.len(), context.quiet);
        let captioned = references.0.par_iter().map(|reference| {
            let captioned = self.caption(reference);
            progress.add(1);
            captioned
        });
        captioned.collect()
    }

    fn caption(&self, Reference { image_id, photo, .. }: &Reference) -> anyhow::Result<Captioned> {
        let read = || imaging::decode(&photo.bytes().ok()?).ok();
        let Some(image) = read() else { return Ok(Captioned::missing(image_id)) };
        let found = self.0.caption(&[self.0.photo_of(&image)], self.search())?;
        let beams = found.into_iter().flat_map(|captioned| captioned.captions);
        let mut beams = beams.map(|caption| Beam {
            caption: caption.caption,
            log_probability: caption.log_probability,
            finished: caption.finished,
        });
        let best = beams.next().with_context(|| format!("no caption for image {image_id}"))?;
        Ok(Captioned { image_id: image_id.clone(), best, others: beams.collect(), attention: vec![] })
    }
}

/// Its name among the systems, which is that of no model of the run.
pub(crate) fn name(path: &Path) -> String {
    format!("guest-{}", path.file_stem().unwrap_or_default().to_string_lossy())
}
