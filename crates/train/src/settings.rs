//! Settings of the `train` stage.

use model::decoder::{DecoderConfig, LstmConfig, SoftAttentionConfig};
use serde::{Deserialize, Serialize};

/// Settings of the `train` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The decoders to train, each into a folder of its own.
    pub decoders: Vec<DecoderKind>,
    /// Passes over the train images at most.
    pub epochs: usize,
    /// Images a batch, each with all its captions.
    pub batch_images: usize,
    /// Highest learning rate of Adam.
    pub learning_rate: f64,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: usize,
    /// How the learning rate falls afterwards.
    pub schedule: Schedule,
    /// Gradients are scaled down to this norm.
    pub gradient_clip: f64,
    /// Stops after this many epochs without a better validation score.
    pub patience: usize,
    /// The score of generated validation captions that chooses the checkpoint.
    pub monitor: Monitor,
    /// Validation images captioned after each epoch, at most.
    pub validation_images: usize,
    /// Train features are kept in memory up to this size, in MB; beyond it each batch is read from disk. Changes nothing
    /// in the result.
    pub feature_memory_mb: u64,
    /// Sizes of the `lstm` decoder.
    pub lstm: LstmConfig,
    /// Sizes of the `soft_attention` decoder.
    pub soft_attention: SoftAttentionConfig,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            decoders: vec![DecoderKind::Lstm, DecoderKind::SoftAttention],
            epochs: 10,
            batch_images: 16,
            learning_rate: 1e-3,
            warmup_steps: 200,
            schedule: Schedule::Cosine,
            gradient_clip: 5.0,
            patience: 3,
            monitor: Monitor::CiderD,
            validation_images: 1000,
            feature_memory_mb: 4000,
            lstm: LstmConfig::default(),
            soft_attention: SoftAttentionConfig::default(),
        }
    }
}

/// The architectures that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecoderKind {
    /// LSTM over the mean feature: the baseline without attention.
    Lstm,
    /// LSTM with soft attention over the regions.
    SoftAttention,
}

impl DecoderKind {
    /// The name used in folders and in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            DecoderKind::Lstm => "lstm",
            DecoderKind::SoftAttention => "soft_attention",
        }
    }
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Along half a cosine, to nearly 0 at the last step.
    Cosine,
}

impl Schedule {
    /// The learning rate of `step` (from 0) out of `steps`, as a share of the highest one.
    pub fn factor(self, step: usize, warmup_steps: usize, steps: usize) -> f64 {
        if step < warmup_steps {
            return (step + 1) as f64 / warmup_steps as f64;
        }
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let done = (step - warmup_steps) as f64 / (steps.saturating_sub(warmup_steps)).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }
}

/// A score of generated captions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// Corpus BLEU-4.
    #[serde(rename = "bleu_4")]
    Bleu4,
    /// Corpus CIDEr-D, the smoother of the two.
    CiderD,
}

/// What decides the outcome of training one decoder.
#[derive(Serialize)]
pub(crate) struct Plan<'a> {
    pub(crate) decoder: &'a DecoderConfig,
    epochs: usize,
    batch_images: usize,
    learning_rate: f64,
    warmup_steps: usize,
    schedule: Schedule,
    gradient_clip: f64,
    patience: usize,
    monitor: Monitor,
    validation_images: usize,
    seed: u64,
}

impl Settings {
    /// The architecture of one kind, with its sizes.
    pub fn decoder(&self, kind: DecoderKind) -> DecoderConfig {
        match kind {
            DecoderKind::Lstm => DecoderConfig::Lstm(self.lstm.clone()),
            DecoderKind::SoftAttention => DecoderConfig::SoftAttention(self.soft_attention.clone()),
        }
    }

    /// The settings that decide one decoder's weights; other decoders' sizes are not among them.
    pub(crate) fn plan<'a>(&self, decoder: &'a DecoderConfig, seed: u64) -> Plan<'a> {
        Plan {
            decoder,
            epochs: self.epochs,
            batch_images: self.batch_images,
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            schedule: self.schedule,
            gradient_clip: self.gradient_clip,
            patience: self.patience,
            monitor: self.monitor,
            validation_images: self.validation_images,
            seed,
        }
    }

    /// The first setting that makes no sense, with what would.
    pub(crate) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let sizes = [
            self.lstm.embedding_size,
            self.lstm.feature_size,
            self.lstm.hidden_size,
            self.soft_attention.embedding_size,
            self.soft_attention.feature_size,
            self.soft_attention.hidden_size,
            self.soft_attention.attention_size,
        ];
        let dropouts = [self.lstm.dropout, self.soft_attention.dropout];
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let problems = [
            (self.decoders.is_empty(), "train.decoders", "name at least one decoder"),
            (self.epochs == 0, "train.epochs", "must be at least 1"),
            (self.batch_images == 0, "train.batch_images", "must be at least 1"),
            (self.validation_images == 0, "train.validation_images", "must be at least 1"),
            (!positive(self.learning_rate), "train.learning_rate", "must be above 0"),
            (!positive(self.gradient_clip), "train.gradient_clip", "must be above 0"),
            (sizes.iter().any(|&size| size < 1), "train", "sizes of a decoder must be at least 1"),
            (
                dropouts.iter().any(|dropout| !(0.0..1.0).contains(dropout)),
                "train",
                "dropout must be at least 0 and below 1",
            ),
        ];
        problems.into_iter().find(|problem| problem.0).map(|(_, key, reason)| (key, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_then_falls() {
        let at = |step| Schedule::Cosine.factor(step, 10, 110);
        assert!((at(0) - 0.1).abs() < 1e-12 && (at(9) - 1.0).abs() < 1e-12);
        assert!((at(60) - 0.5).abs() < 1e-12 && at(109) < 0.001);
        assert_eq!(Schedule::Constant.factor(60, 0, 110), 1.0);
    }
}
