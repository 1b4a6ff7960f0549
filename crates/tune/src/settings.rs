//! Settings of the `tune` stage.

use std::path::PathBuf;

use model::problem::{Problem, above_0, at_least, first, not_negative, share, unless, within};
use serde::{Deserialize, Serialize};
use stage::OneOrSeveral;

/// More passes, images in a batch, and words than anybody wants.
const MOST: usize = 1_000_000;

/// What tuning minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    /// Cross-entropy of each word with the share of an image's captions that hold it.
    #[default]
    Words,
    /// That, and the cross-entropy of the captions through the decoder of `start_from`, which learns on beside the network.
    Captions,
}

/// Settings of the `tune` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// A captioner of `export`, or weights that were tuned before, to begin with; left empty, the published weights.
    pub start_from: PathBuf,
    /// What is minimised: `words`, or `captions` through the decoder of `start_from`.
    pub objective: ObjectiveKind,
    /// The first block of the network that learns; 0 is the whole network. One for all backbones, or a list with one for
    /// each of `preprocess.backbone`.
    pub from_block: OneOrSeveral<usize>,
    /// So many of the commonest words of the captions are learnt.
    pub words: usize,
    /// Passes over the train images; 0 takes what `start_from` holds as it is.
    pub epochs: usize,
    /// Images per batch.
    pub batch_images: usize,
    /// Highest learning rate of the network (AdamW).
    pub learning_rate: f64,
    /// Highest learning rate of the head that predicts the words, and of the decoder.
    pub head_learning_rate: f64,
    /// Steps over which the learning rates rise from 0; then they fall along half a cosine.
    pub warmup_steps: usize,
    /// Share of a matrix that a step of learning rate 1 would take away.
    pub weight_decay: f64,
    /// Share of an image that is shown at least: each time another part.
    pub least_area: f64,
    /// Brightness, contrast and saturation change by a factor of up to 1 ± this.
    pub light: f64,
    /// The stage fails when a larger share of the images cannot be read.
    pub max_bad_fraction: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            start_from: PathBuf::new(),
            objective: ObjectiveKind::Words,
            from_block: OneOrSeveral::One(6),
            words: 1000,
            epochs: 5,
            batch_images: 32,
            learning_rate: 1e-4,
            head_learning_rate: 1e-3,
            warmup_steps: 100,
            weight_decay: 0.01,
            least_area: 0.5,
            light: 0.2,
            max_bad_fraction: 0.02,
        }
    }
}

impl Settings {
    /// The first value that makes no sense.
    pub fn problem(&self) -> Option<Problem> {
        let area = self.least_area > 0.0 && self.least_area <= 1.0;
        first([
            within(0..=MOST, "epochs", self.epochs),
            unless(
                self.epochs > 0 || self.starts_from_a_file(),
                "epochs",
                "must be at least 1, unless tune.start_from names what was tuned before",
            ),
            unless(
                self.objective == ObjectiveKind::Words || self.starts_from_a_file(),
                "objective",
                "must be words, unless tune.start_from names a captioner of export",
            ),
            within(1..=MOST, "words", self.words),
            within(1..=MOST, "batch_images", self.batch_images),
            above_0("learning_rate", self.learning_rate),
            above_0("head_learning_rate", self.head_learning_rate),
            at_least(0, "warmup_steps", self.warmup_steps),
            not_negative("weight_decay", self.weight_decay),
            unless(area, "least_area", "must be above 0 and at most 1"),
            share("light", self.light),
            within(0.0..=1.0, "max_bad_fraction", self.max_bad_fraction),
        ])
    }

    /// Whether it begins with something else than the published weights.
    pub(crate) fn starts_from_a_file(&self) -> bool {
        !self.start_from.as_os_str().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_without_sense_are_refused_by_name() {
        assert_eq!(Settings::default().problem(), None);
        type Change = fn(&mut Settings);
        let wrong: [(&str, Change); 10] = [
            ("epochs", |settings| settings.epochs = 0),
            ("objective", |settings| settings.objective = ObjectiveKind::Captions),
            ("words", |settings| settings.words = 0),
            ("batch_images", |settings| settings.batch_images = 0),
            ("learning_rate", |settings| settings.learning_rate = f64::NAN),
            ("head_learning_rate", |settings| settings.head_learning_rate = 0.0),
            ("weight_decay", |settings| settings.weight_decay = -1.0),
            ("least_area", |settings| settings.least_area = 0.0),
            ("light", |settings| settings.light = 1.0),
            ("max_bad_fraction", |settings| settings.max_bad_fraction = 1.5),
        ];
        for (key, change) in wrong {
            let mut settings = Settings::default();
            change(&mut settings);
            assert_eq!(settings.problem().map(|problem| problem.key), Some(key.to_owned()));
        }
        let unpacked = Settings { epochs: 0, start_from: "model.safetensors".into(), ..Settings::default() };
        assert_eq!(unpacked.problem(), None);
    }
}
