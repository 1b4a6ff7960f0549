//! The captions of one run, checked and turned into word ids.
//!
//! Invariant: a [`Corpus`] has at least one image, and every image has at least one reference.

use crate::Tokens;
use crate::ngrams::{Caption, Interner, WordIds};

/// Why captions cannot be scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// There is nothing to average over.
    #[error("no images to score: give at least one image with a hypothesis and its references")]
    NoImages,
    /// The two lists do not pair up.
    #[error(
        "{references} images have references but {hypotheses} have a hypothesis: give exactly one hypothesis an image"
    )]
    CountMismatch {
        /// Images in the list of references.
        references: usize,
        /// Images in the list of hypotheses.
        hypotheses: usize,
    },
    /// Two systems were scored on different images.
    #[error("one system has scores of {one} images, another of {other}: compare systems on the same images")]
    DifferentImages {
        /// Images of one system.
        one: usize,
        /// Images of the other.
        other: usize,
    },
    /// An image has nothing to be compared with.
    #[error("image {image} (counted from 0) has no reference captions: add some or leave the image out")]
    NoReferences {
        /// Position of the image in the lists.
        image: usize,
    },
}

/// A hypothesis and what it is compared with.
pub(crate) struct Image {
    pub(crate) hypothesis: Caption,
    pub(crate) references: Vec<Caption>,
}

/// All images of one run.
pub(crate) struct Corpus {
    pub(crate) images: Vec<Image>,
}

impl Corpus {
    /// Pairs `references[i]` with `hypotheses[i]`; words have the ids of `known` where it has them.
    pub(crate) fn new(
        references: &[Vec<Tokens>],
        hypotheses: &[Tokens],
        known: &WordIds,
    ) -> Result<Self, ScoreError> {
        if references.len() != hypotheses.len() {
            return Err(ScoreError::CountMismatch {
                references: references.len(),
                hypotheses: hypotheses.len(),
            });
        }
        check_references(references)?;
        let mut interner = Interner::new(known);
        let images = references
            .iter()
            .zip(hypotheses)
            .map(|(references, hypothesis)| Image {
                hypothesis: caption(hypothesis, &mut interner),
                references: references.iter().map(|reference| caption(reference, &mut interner)).collect(),
            })
            .collect();
        Ok(Self { images })
    }
}

/// Fails unless there is an image and each has a reference.
pub(crate) fn check_references(references: &[Vec<Tokens>]) -> Result<(), ScoreError> {
    if references.is_empty() {
        return Err(ScoreError::NoImages);
    }
    match references.iter().position(Vec::is_empty) {
        Some(image) => Err(ScoreError::NoReferences { image }),
        None => Ok(()),
    }
}

fn caption<'a>(tokens: &'a Tokens, interner: &mut Interner<'a>) -> Caption {
    Caption::new(tokens.iter().map(|word| interner.intern(word)).collect())
}
