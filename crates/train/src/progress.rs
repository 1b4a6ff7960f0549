//! Where a training stands.

use serde::{Deserialize, Serialize};

/// The parts of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Every next word of people's captions.
    #[default]
    CrossEntropy,
    /// The score of whole captions of its own.
    SelfCritical,
}

impl Phase {
    /// In their order.
    pub(crate) const ALL: [Phase; 2] = [Phase::CrossEntropy, Phase::SelfCritical];

    /// What is told of its progress.
    pub(crate) fn measure(self) -> &'static str {
        match self {
            Phase::CrossEntropy => "loss",
            Phase::SelfCritical => "reward",
        }
    }
}

/// Epochs and optimiser steps, of all phases together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) epochs: usize,
    pub(crate) steps: usize,
}

/// The best checkpoint so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    /// By the metric that training watches, on val.
    pub(crate) score: f64,
    /// The epoch after which it was reached, from 1; 0 for one that this training found or started from.
    pub(crate) epoch: usize,
}

/// What an epoch has come to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Epoch {
    /// Steps of it that are done.
    pub(crate) steps: usize,
    /// Words of their captions.
    pub(crate) words: usize,
    /// What the objective has reported, weighted by words.
    sum: f64,
    /// Time that it has taken, interruptions left out.
    pub(crate) seconds: f64,
}

impl Epoch {
    /// Counts a step over so many words.
    pub(crate) fn add(&mut self, value: f64, words: usize) {
        self.steps += 1;
        self.words += words;
        self.sum += value * words as f64;
    }

    /// What the objective reports in the mean over the words.
    pub(crate) fn value(&self) -> f64 {
        self.sum / self.words.max(1) as f64
    }
}

/// Where training stands. Dropout and data order are drawn from the seed and these numbers alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Fingerprint of the recipe; a state of another recipe is not resumed.
    pub(crate) fingerprint: String,
    /// What is being minimised.
    pub(crate) phase: Phase,
    /// What lies behind.
    pub(crate) done: Count,
    /// What lay behind when the phase began.
    pub(crate) began: Count,
    /// The one in which it stands.
    pub(crate) epoch: Epoch,
    /// Nothing before the first validation.
    pub(crate) best: Option<Best>,
}

impl Progress {
    /// At the very beginning.
    pub(crate) fn fresh(fingerprint: &str) -> Progress {
        Progress { fingerprint: fingerprint.to_owned(), ..Progress::default() }
    }

    /// Goes over to another phase.
    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.began = self.done;
    }

    /// Epochs of this phase that are done: the same, whoever ran the earlier phases.
    pub(crate) fn epochs_of_phase(&self) -> usize {
        self.done.epochs - self.began.epochs
    }

    /// Steps of this phase that are done.
    pub(crate) fn steps_of_phase(&self) -> usize {
        self.done.steps - self.began.steps
    }

    /// Counts an epoch with its validation score; true when it is the best so far.
    pub(crate) fn close_epoch(&mut self, score: f64) -> bool {
        self.done.epochs += 1;
        self.epoch = Epoch::default();
        let better = self.best.is_none_or(|best| score > best.score);
        if better {
            self.best = Some(Best { score, epoch: self.done.epochs });
        }
        better
    }

    /// Epochs of this phase since the last better one.
    pub(crate) fn epochs_without_gain(&self) -> usize {
        let best = self.best.map_or(0, |best| best.epoch);
        self.done.epochs - best.max(self.began.epochs)
    }
}
