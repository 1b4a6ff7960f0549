//! The images of a split with the captions people wrote, as text and as words.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use artifacts::images::Images;
use artifacts::{Locator, RunFolder, Split, captions, tokens};
use bytes::Bytes;
use images::{ImageSource, SourceError};
use metrics::Tokens;

/// One image and what people said of it.
#[derive(Clone)]
pub(crate) struct Reference {
    pub(crate) image_id: String,
    pub(crate) photo: Photo,
    pub(crate) captions: Vec<String>,
    /// `captions`, as the metrics see them.
    pub(crate) tokens: Vec<Tokens>,
}

/// An image file, wherever it lies.
#[derive(Clone)]
pub(crate) struct Photo {
    pub(crate) source: Arc<ImageSource>,
    pub(crate) locator: Locator,
}

impl Photo {
    pub(crate) fn bytes(&self) -> Result<Bytes, SourceError> {
        self.source.bytes(&self.locator)
    }

    /// Its place, for people.
    pub(crate) fn place(&self) -> String {
        self.source.folder().place_of(&self.locator.to_string())
    }
}

/// All images of a split, in dataset order.
pub(crate) struct References(pub(crate) Vec<Reference>);

impl References {
    /// Reads the images of `split` that have at least one caption.
    pub(crate) fn read(run: &RunFolder, split: Split) -> anyhow::Result<References> {
        let dataset = Images::open(&run.dataset())?;
        let source = Arc::new(ImageSource::open(&dataset.root)?);
        let mut references = Vec::new();
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for row in dataset.parts.rows() {
            let row = row?;
            if row.split == split {
                let photo = Photo { source: source.clone(), locator: row.locator() };
                numbers.insert(row.image_id.clone(), references.len());
                let (captions, tokens) = (vec![], vec![]);
                references.push(Reference { image_id: row.image_id, photo, captions, tokens });
            }
        }
        let mut words: HashMap<u64, Tokens> = HashMap::new();
        for row in tokens::open(&run.text())?.rows() {
            let row = row?;
            if row.split == split {
                words.insert(row.caption_id, row.words);
            }
        }
        for row in captions::open(&run.dataset())?.rows() {
            let row = row?;
            let Some(&number) = numbers.get(&row.image_id) else { continue };
            let words = words.remove(&row.caption_id).with_context(|| {
                let place = run.text().join(tokens::FOLDER);
                format!("{} has no words of caption {}: run the text stage", place.display(), row.caption_id)
            })?;
            references[number].captions.push(row.caption);
            references[number].tokens.push(words);
        }
        references.retain(|reference| !reference.captions.is_empty());
        anyhow::ensure!(
            !references.is_empty(),
            "the dataset has no captioned image in split {split}: set evaluate.split to one that it has"
        );
        Ok(References(references))
    }

    /// The words of every caption, `[image][caption]`.
    pub(crate) fn tokens(&self) -> Vec<Vec<Tokens>> {
        self.0.iter().map(|image| image.tokens.clone()).collect()
    }
}
