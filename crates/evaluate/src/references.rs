//! The images of a split with the captions people wrote, tokenised once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use artifacts::captions::{self, CaptionRow};
use artifacts::images::Images;
use artifacts::{Split, table};
use metrics::Tokens;

use crate::decode::Captioned;

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
    pub(crate) fn read(dataset: &Path, split: Split) -> anyhow::Result<References> {
        let images = Images::read(dataset)?;
        let (rows, _) = table::read::<CaptionRow>(&dataset.join(captions::FILE))?;
        let mut by_image: HashMap<String, Vec<String>> = HashMap::new();
        for row in rows {
            by_image.entry(row.image_id).or_default().push(row.caption);
        }
        let of_split = images.rows.into_iter().filter(|row| row.split == split);
        let references: Vec<Reference> = of_split
            .filter_map(|row| {
                let captions = by_image.remove(&row.image_id)?;
                let tokens =
                    captions.iter().map(|caption| metrics::tokenize::caption_tokens(caption)).collect();
                Some(Reference {
                    path: images.root.join(&row.path),
                    image_id: row.image_id,
                    captions,
                    tokens,
                })
            })
            .collect();
        anyhow::ensure!(
            !references.is_empty(),
            "the dataset has no captioned image in split {split}: set evaluate.split to one that it has"
        );
        Ok(References(references))
    }

    /// The same caption for every image.
    pub(crate) fn constant(&self, caption: &str) -> Vec<Captioned> {
        self.0.iter().map(|reference| Captioned::given(&reference.image_id, caption)).collect()
    }

    /// The words of every caption, `[image][caption]`.
    pub(crate) fn tokens(&self) -> Vec<Vec<Tokens>> {
        self.0.iter().map(|image| image.tokens.clone()).collect()
    }
}
