//! Captions of validation images after each epoch, scored as `evaluate` scores them.

use std::collections::BTreeMap;

use artifacts::tokens::TokenRow;
use artifacts::vocabulary::Vocabulary;
use metrics::Tokens;
use model::search::{SearchSettings, beam_search};
use rayon::ThreadPool;
use rayon::prelude::*;
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
        mut features: GridStore,
        captions: impl Iterator<Item = anyhow::Result<TokenRow>>,
        count: usize,
    ) -> anyhow::Result<Validation> {
        let index = features.take_index();
        // The first ones so far: of the others nothing is kept.
        let mut first: BTreeMap<usize, Vec<Vec<String>>> = BTreeMap::new();
        for row in captions {
            let row = row?;
            if let Some(image) = index.get(&row.image_id) {
                first.entry(image).or_default().push(row.words);
            }
            if first.len() > count {
                first.pop_last();
            }
        }
        let (indices, references) = first.into_iter().unzip();
        Ok(Validation { features, indices, references })
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    /// Corpus scores of greedy captions, written on all threads.
    pub(crate) fn score(
        &self,
        decoder: &dyn Decoder,
        vocabulary: &Vocabulary,
        device: Device,
        threads: &ThreadPool,
    ) -> anyhow::Result<metrics::Scores> {
        let greedy = SearchSettings { beam_size: 1, length_penalty: 0.0, ..SearchSettings::default() };
        let chunks = self.indices.chunks(IMAGES_AT_ONCE).map(|indices| (decoder.share(), indices));
        let chunks: Vec<(Box<dyn Decoder>, &[usize])> = chunks.collect();
        let write = |(decoder, indices): (Box<dyn Decoder>, &[usize])| -> anyhow::Result<Vec<Tokens>> {
            let grid = self.features.tensor(indices, device)?;
            let memory = tch::no_grad(|| decoder.encode(&grid, None))?;
            let found = beam_search(&mut decoder.network(), &memory, &greedy)?;
            let words =
                found.iter().map(|beams| beams.first().map(|best| vocabulary.decode(&best.ids).join(" ")));
            Ok(words.map(|words| metrics::tokenize::caption_tokens(&words.unwrap_or_default())).collect())
        };
        let hypotheses: Vec<Vec<Tokens>> =
            threads.install(|| chunks.into_par_iter().map(write).collect::<anyhow::Result<_>>())?;
        let hypotheses = hypotheses.concat();
        Ok(metrics::score(&self.references, &hypotheses)?.corpus)
    }
}

#[cfg(test)]
mod tests {
    use artifacts::Split;
    use artifacts::features::FeatureSpec;
    use half::f16;

    use super::*;

    #[test]
    fn the_first_images_with_captions_are_taken_whatever_the_order_of_these() {
        let spec = FeatureSpec {
            backbone: "tiny".to_owned(),
            view: Default::default(),
            weights: Default::default(),
            weights_sha256: String::new(),
            onnx: None,
            transform: serde_json::Value::Null,
            grid: [1, 1],
            channels: 1,
        };
        let features =
            GridStore::resident(spec, ["a", "b", "c", "d"].map(str::to_owned).to_vec(), vec![f16::ONE; 4]);
        let row = |image_id: &str, word: &str| TokenRow {
            image_id: image_id.to_owned(),
            caption_id: 0,
            split: Split::Val,
            words: vec![word.to_owned()],
            ids: vec![],
            length: 0,
        };
        let captions =
            [("d", "1"), ("c", "2"), ("d", "3"), ("a", "4"), ("d", "5"), ("absent", "6"), ("c", "7")];
        let captions = captions.map(|(image, word)| Ok(row(image, word)));
        let validation = Validation::new(features, captions.into_iter(), 2).unwrap();
        assert_eq!(validation.indices, [0, 2]);
        assert_eq!(validation.references.concat().concat(), ["4", "2", "7"]);
    }
}
