//! What metrics are computed from.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::Tokens;
use crate::bleu::{self, BleuCounts};
use crate::cider::DocumentFrequency;
use crate::corpus::Corpus;
use crate::error::ScoreError;
use crate::meteor::MeteorSource;

/// The captions of one run, in every form that a metric reads.
pub(crate) struct Given<'a> {
    pub(crate) references: &'a [Vec<Tokens>],
    pub(crate) hypotheses: &'a [Tokens],
    /// Both as word ids, which are those of `frequency`.
    pub(crate) corpus: Corpus,
    /// Of the n-grams of `references`.
    pub(crate) frequency: DocumentFrequency,
    pub(crate) meteor: MeteorSource<'a>,
    bleu_counts: OnceCell<Arc<[BleuCounts]>>,
}

impl<'a> Given<'a> {
    pub(crate) fn new(
        references: &'a [Vec<Tokens>],
        hypotheses: &'a [Tokens],
        meteor: MeteorSource<'a>,
    ) -> Result<Self, ScoreError> {
        let frequency = DocumentFrequency::new(references)?;
        let corpus = Corpus::new(references, hypotheses, &frequency.words)?;
        Ok(Given { references, hypotheses, corpus, frequency, meteor, bleu_counts: OnceCell::new() })
    }

    /// The counts that BLEU of every order shares.
    pub(crate) fn bleu_counts(&self) -> Arc<[BleuCounts]> {
        self.bleu_counts.get_or_init(|| bleu::counts(&self.corpus)).clone()
    }
}
