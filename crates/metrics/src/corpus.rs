//! The captions of one run, checked and turned into word ids.
//!
//! Invariant: a [`Corpus`] has at least one image, and every image has at least one reference.

use crate::Tokens;
use crate::error::ScoreError;
use crate::ngrams::{Caption, Interner, WordIds};

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
