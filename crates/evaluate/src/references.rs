//! The images of a split with the captions people wrote, as text and as words.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context as _;
use artifacts::captions::{self, CaptionRow};
use artifacts::images::Images;
use artifacts::tokens::{self, TokenRow};
use artifacts::{RunFolder, Split, table};
use metrics::Tokens;

/// One image and what people said of it.
#[derive(Clone)]
pub(crate) struct Reference {
    pub(crate) image_id: String,
    pub(crate) path: PathBuf,
    pub(crate) captions: Vec<String>,
    /// `captions`, as the metrics see them.
    pub(crate) tokens: Vec<Tokens>,
}

/// All images of a split, in dataset order.
pub(crate) struct References(pub(crate) Vec<Reference>);

impl References {
    /// Reads the images of `split` that have at least one caption.
    pub(crate) fn read(run: &RunFolder, split: Split) -> anyhow::Result<References> {
        let images = Images::read(&run.dataset())?;
        let (rows, _) = table::read::<CaptionRow>(&run.dataset().join(captions::FILE))?;
        let path = run.text().join(tokens::FILE);
        let (words, _) = table::read::<TokenRow>(&path)?;
        let mut words: HashMap<u32, Tokens> =
            words.into_iter().map(|row| (row.caption_id, row.words)).collect();
        let mut by_image: HashMap<String, (Vec<String>, Vec<Tokens>)> = HashMap::new();
        for row in rows {
            let words = words.remove(&row.caption_id).with_context(|| {
                format!("{} has no words of caption {}: run the text stage", path.display(), row.caption_id)
            })?;
            let (captions, tokens) = by_image.entry(row.image_id).or_default();
            captions.push(row.caption);
            tokens.push(words);
        }
        let of_split = images.rows.into_iter().filter(|row| row.split == split);
        let references: Vec<Reference> = of_split
            .filter_map(|row| {
                let (captions, tokens) = by_image.remove(&row.image_id)?;
                let path = images.root.join(&row.path);
                Some(Reference { image_id: row.image_id, path, captions, tokens })
            })
            .collect();
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
