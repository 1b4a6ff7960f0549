//! Captions of validation images after each epoch, scored as `evaluate` scores them.

use std::collections::HashMap;

use artifacts::tokens::TokenRow;
use artifacts::vocabulary::Vocabulary;
use model::search::{SearchSettings, beam_search};
use tch::Device;
use torch::decoder::Decoder;
use torch::grids::GridStore;

const IMAGES_AT_ONCE: usize = 50;

/// Validation images with the references people wrote.
pub(crate) struct Validation {
    features: GridStore,
    indices: Vec<usize>,
    references: Vec<Vec<Vec<String>>>,
}

impl Validation {
    /// The first `count` images of the split that have captions.
    pub(crate) fn new(
        features: GridStore,
        captions: impl Iterator<Item = anyhow::Result<TokenRow>>,
        count: usize,
    ) -> anyhow::Result<Validation> {
        let mut by_image: HashMap<String, Vec<Vec<String>>> = HashMap::new();
        for row in captions {
            let row = row?;
            by_image.entry(row.image_id).or_default().push(row.words);
        }
        let ids = features.image_ids().iter().enumerate();
        let (indices, references) =
            ids.filter_map(|(index, id)| Some((index, by_image.remove(id.as_str())?))).take(count).unzip();
        Ok(Validation { features, indices, references })
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    /// Corpus scores of greedy captions.
    pub(crate) fn score(
        &self,
        decoder: &dyn Decoder,
        vocabulary: &Vocabulary,
        device: Device,
    ) -> anyhow::Result<metrics::Scores> {
        let greedy = SearchSettings { beam_size: 1, length_penalty: 0.0, ..SearchSettings::default() };
        let mut hypotheses = Vec::with_capacity(self.len());
        for indices in self.indices.chunks(IMAGES_AT_ONCE) {
            let grid = self.features.tensor(indices, device)?;
            let memory = tch::no_grad(|| decoder.encode(&grid, false))?;
            for beams in beam_search(&mut decoder.network(), &memory, &greedy)? {
                let words = beams.first().map(|best| vocabulary.decode(&best.ids).join(" "));
                hypotheses.push(metrics::tokenize::caption_tokens(&words.unwrap_or_default()));
            }
        }
        Ok(metrics::score(&self.references, &hypotheses)?.corpus)
    }
}
