//! Settings of the `train` stage.

use model::decoder::{
    DecoderConfig, HardAttentionConfig, LstmConfig, SoftAttentionConfig, TransformerConfig, UpDownConfig,
};
use model::precision::Precision;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
    /// Share of the target's probability that is spread over the whole vocabulary.
    pub label_smoothing: f64,
    /// Share of a matrix that a step of learning rate 1 would take away (AdamW).
    pub weight_decay: f64,
    /// Share of the mean weights that a step keeps; validation and the checkpoint use these means. 0: the last weights.
    pub average_decay: f64,
    /// Share of the words read in training, at its end, that the decoder has written itself.
    pub scheduled_sampling: f64,
    /// Numbers that matrices are multiplied in; weights, sums and gradients are f32 either way.
    pub precision: Precision,
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
    /// Training on the score of whole captions, after cross-entropy.
    pub self_critical: SelfCriticalSettings,
    /// Sizes of the `soft_attention` decoder.
    pub soft_attention: SoftAttentionConfig,
    /// Sizes of the `transformer` decoder.
    pub transformer: TransformerConfig,
    /// Sizes of the `hard_attention` decoder.
    pub hard_attention: HardAttentionConfig,
    /// Sizes of the `up_down` decoder.
    pub up_down: UpDownConfig,
}

/// Settings of self-critical training (Rennie et al. 2017), which goes on from the best checkpoint of cross-entropy.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SelfCriticalSettings {
    /// Passes over the train images at most; 0 leaves this phase out.
    pub epochs: usize,
    /// Highest learning rate of Adam.
    pub learning_rate: f64,
    /// Images a batch.
    pub batch_images: usize,
    /// Captions sampled for each image; what the others score is the baseline of each.
    pub samples: usize,
    /// Longest sample in words.
    pub max_length: usize,
}

impl Default for SelfCriticalSettings {
    fn default() -> Self {
        SelfCriticalSettings { epochs: 0, learning_rate: 1e-5, batch_images: 16, samples: 5, max_length: 20 }
    }
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
            label_smoothing: 0.0,
            weight_decay: 0.0,
            average_decay: 0.0,
            scheduled_sampling: 0.0,
            precision: Precision::F32,
            gradient_clip: 5.0,
            patience: 3,
            monitor: Monitor::CiderD,
            validation_images: 1000,
            feature_memory_mb: 4000,
            lstm: LstmConfig::default(),
            self_critical: SelfCriticalSettings::default(),
            soft_attention: SoftAttentionConfig::default(),
            transformer: TransformerConfig::default(),
            hard_attention: HardAttentionConfig::default(),
            up_down: UpDownConfig::default(),
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
    /// Transformer over the regions.
    Transformer,
    /// LSTM that looks at one region a word, drawn in training and learnt by REINFORCE.
    HardAttention,
    /// Two LSTMs: one decides where to look, the other writes.
    UpDown,
}

impl DecoderKind {
    /// Every architecture.
    pub const ALL: [DecoderKind; 5] = [
        DecoderKind::Lstm,
        DecoderKind::SoftAttention,
        DecoderKind::HardAttention,
        DecoderKind::UpDown,
        DecoderKind::Transformer,
    ];

    /// The name used in folders and in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            DecoderKind::Lstm => "lstm",
            DecoderKind::SoftAttention => "soft_attention",
            DecoderKind::Transformer => "transformer",
            DecoderKind::HardAttention => "hard_attention",
            DecoderKind::UpDown => "up_down",
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

impl Settings {
    /// The architecture of one kind, with its sizes.
    pub fn decoder(&self, kind: DecoderKind) -> DecoderConfig {
        match kind {
            DecoderKind::Lstm => DecoderConfig::Lstm(self.lstm.clone()),
            DecoderKind::SoftAttention => DecoderConfig::SoftAttention(self.soft_attention.clone()),
            DecoderKind::Transformer => DecoderConfig::Transformer(self.transformer.clone()),
            DecoderKind::HardAttention => DecoderConfig::HardAttention(self.hard_attention.clone()),
            DecoderKind::UpDown => DecoderConfig::UpDown(self.up_down.clone()),
        }
    }

    /// The settings that decide one decoder's weights; other decoders' sizes are not among them.
    pub(crate) fn plan(&self, decoder: &DecoderConfig, seed: u64) -> serde_json::Result<Value> {
        let mut plan = serde_json::to_value(self)?;
        if let Some(settings) = plan.as_object_mut() {
            let sections = DecoderKind::ALL.map(DecoderKind::as_str);
            settings.retain(|key, _| !sections.contains(&key.as_str()));
            settings.remove("decoders");
            settings.remove("feature_memory_mb");
            settings.insert("decoder".to_owned(), serde_json::to_value(decoder)?);
            settings.insert("seed".to_owned(), json!(seed));
        }
        Ok(plan)
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
            self.transformer.model_size,
            self.transformer.heads,
            self.transformer.layers,
            self.transformer.feed_forward_size,
            self.hard_attention.embedding_size,
            self.hard_attention.feature_size,
            self.hard_attention.hidden_size,
            self.hard_attention.attention_size,
            self.up_down.embedding_size,
            self.up_down.feature_size,
            self.up_down.hidden_size,
            self.up_down.attention_size,
        ];
        let shares = [
            self.lstm.dropout,
            self.soft_attention.dropout,
            self.hard_attention.dropout,
            self.up_down.dropout,
            self.transformer.dropout,
            self.label_smoothing,
            self.average_decay,
        ];
        let critical = &self.self_critical;
        let transformer = &self.transformer;
        let weights = [
            self.soft_attention.attention_penalty,
            self.hard_attention.reinforce_weight,
            self.hard_attention.entropy_weight,
        ];
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
                transformer.heads > 0 && transformer.model_size % (2 * transformer.heads) != 0,
                "train.transformer.model_size",
                "must be a multiple of twice train.transformer.heads",
            ),
            (transformer.encoder_layers < 0, "train.transformer.encoder_layers", "must be at least 0"),
            (
                shares.iter().any(|share| !(0.0..1.0).contains(share)),
                "train",
                "dropout, label_smoothing and average_decay must be at least 0 and below 1",
            ),
            (
                !(0.0..=1.0).contains(&self.scheduled_sampling),
                "train.scheduled_sampling",
                "must lie between 0 and 1",
            ),
            (
                !self.weight_decay.is_finite() || self.weight_decay < 0.0,
                "train.weight_decay",
                "must be at least 0",
            ),
            (critical.samples < 2, "train.self_critical.samples", "must be at least 2"),
            (critical.batch_images == 0, "train.self_critical.batch_images", "must be at least 1"),
            (critical.max_length == 0, "train.self_critical.max_length", "must be at least 1"),
            (!positive(critical.learning_rate), "train.self_critical.learning_rate", "must be above 0"),
            (
                weights.iter().any(|weight| !(weight.is_finite() && *weight >= 0.0)),
                "train",
                "weights of a decoder's own losses must be at least 0",
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
