//! Why captions cannot be scored, in words.

use crate::meteor::MeteorError;

/// Why captions cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// There is nothing to average over.
    #[error("no images to score: give at least one image with a hypothesis and its references")]
    NoImages,
    /// The two lists do not pair up.
    #[error(
        "{references} images have references but {hypotheses} have a hypothesis: give exactly one hypothesis per image"
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
    /// METEOR was asked for and its program did not answer.
    #[error(transparent)]
    Meteor(#[from] MeteorError),
}
