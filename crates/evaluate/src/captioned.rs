//! A captioned image, whoever wrote the caption.

use std::sync::Arc;

/// A caption that the search found.
#[derive(Clone)]
pub(crate) struct Beam {
    pub(crate) caption: String,
    /// Sum of the log-probabilities of its tokens.
    pub(crate) log_probability: f64,
    /// Whether it ended with `<eos>`.
    pub(crate) finished: bool,
}

/// A captioned image.
pub(crate) struct Captioned {
    pub(crate) image_id: String,
    pub(crate) best: Beam,
    /// The captions that came second and later, best first.
    pub(crate) others: Vec<Beam>,
    /// Share of attention on each region of the photo, one entry per word of the best caption, for decoders that attend.
    pub(crate) attention: Vec<Arc<[f32]>>,
}

impl Captioned {
    /// A caption that no search made.
    pub(crate) fn given(image_id: &str, caption: &str) -> Captioned {
        let best = Beam { caption: caption.to_owned(), log_probability: 0.0, finished: true };
        Captioned { image_id: image_id.to_owned(), best, others: vec![], attention: vec![] }
    }

    /// No caption at all.
    pub(crate) fn missing(image_id: &str) -> Captioned {
        let best = Beam { caption: String::new(), log_probability: 0.0, finished: false };
        Captioned { image_id: image_id.to_owned(), best, others: vec![], attention: vec![] }
    }
}
