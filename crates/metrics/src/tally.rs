//! What a metric keeps of a corpus once it has read the captions.

use std::fmt::Debug;
use std::sync::Arc;

/// What one metric keeps of each image, so that any sample of the images can be scored without their captions.
pub(crate) trait Tally: Debug + Send + Sync {
    /// The corpus score of a sample of images, given by position; one image may occur several times.
    fn score(&self, sample: &[usize]) -> f64;

    /// What a program outside this crate counted in each image, when the scores cannot be had without it.
    fn counted(&self) -> Option<Vec<Vec<f64>>> {
        None
    }
}

/// A tally, or why there is none.
pub(crate) enum Tallied {
    Computed(Arc<dyn Tally>),
    NotComputed(&'static str),
}

impl Tallied {
    pub(crate) fn new(tally: impl Tally + 'static) -> Tallied {
        Tallied::Computed(Arc::new(tally))
    }
}

/// The score of each image, for metrics whose corpus score is the mean of them.
#[derive(Debug)]
pub(crate) struct Means(pub(crate) Vec<f64>);

impl Tally for Means {
    fn score(&self, sample: &[usize]) -> f64 {
        sample.iter().map(|&image| self.0[image]).sum::<f64>() / sample.len().max(1) as f64
    }
}
