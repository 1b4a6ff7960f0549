//! Settings of the `train` stage.

use std::collections::HashSet;
use std::path::PathBuf;

use learn::Schedule;
use model::decoder::{ChosenDecoders, DecoderConfig, DecoderConfigs, DecoderKind};
use model::problem::{Problem, above_0, at_least, first, not_negative, share, unless, within};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use torch::precision::{Precision, PrecisionChoice};

use crate::monitor::Monitor;

/// More passes, and more images in a batch, than anybody wants.
const MOST: usize = 1_000_000;

/// More than cores will ever be.
const MOST_MICRO_BATCHES: usize = 1 << 16;

/// More memory than there is, in MB.
const MOST_MB: u64 = 1_000_000_000;

/// Settings of the `train` stage.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Which decoders.
    #[serde(flatten)]
    pub chosen: ChosenDecoders,
    /// A checkpoint of `train` or a captioner of `export` to go on from: each decoder starts from what the one of its kind,
    /// of the same sizes, has learnt there, words matched by spelling. Empty: weights are drawn anew.
    pub start_from: PathBuf,
    /// Passes over the train images at most.
    pub epochs: usize,
    /// Images per batch, each with all its captions.
    pub batch_images: usize,
    /// Parts that each batch is cut into, a power of two: cores and processes take them, so no more can be busy. Gradients are
    /// summed in one order, so that how many are changes nothing in the result.
    pub micro_batches: usize,
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
    /// Numbers that the factors of matrix products are rounded to; weights, moments and all that is not a product are f32 either
    /// way. `bf16` is f32 on a processor that would have to emulate it.
    pub precision: PrecisionChoice,
    /// Gradients are scaled down to this norm.
    pub gradient_clip: f64,
    /// Stops after this many epochs without a better validation score.
    pub patience: usize,
    /// The score of generated validation captions that chooses the checkpoint.
    pub monitor: Monitor,
    /// Validation images captioned after each epoch, at most.
    pub validation_images: usize,
    /// Minutes after which the state is saved, besides at the end of each epoch; a kill costs that much at most. Changes nothing in
    /// the result.
    pub save_every_minutes: f64,
    /// Train features are kept in memory up to this size, in MB; beyond it each batch is read from disk, as captions always
    /// are. Beside it some 30 bytes an image and 16 a caption are in memory. Changes nothing in the result.
    pub feature_memory_mb: u64,
    /// Training on the score of whole captions, after cross-entropy.
    pub self_critical: SelfCriticalSettings,
    /// A table of sizes for each decoder.
    #[serde(flatten)]
    pub sizes: DecoderConfigs,
}

/// Settings of self-critical training (Rennie et al. 2017), which goes on from the best checkpoint of cross-entropy.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SelfCriticalSettings {
    /// Which of the decoders have this phase; all of them where none is named.
    #[serde(deserialize_with = "artifacts::listed::one_or_more")]
    pub decoders: Vec<DecoderKind>,
    /// Passes over the train images at most; 0 leaves this phase out. Rewards keep some 40 bytes in memory for each distinct
    /// n-gram of the train captions.
    pub epochs: usize,
    /// Highest learning rate of Adam.
    pub learning_rate: f64,
    /// Images per batch.
    pub batch_images: usize,
    /// Captions sampled for each image; what the others score is the baseline of each.
    pub samples: usize,
    /// Longest sample in words.
    pub max_length: usize,
}

impl Default for SelfCriticalSettings {
    fn default() -> Self {
        SelfCriticalSettings {
            decoders: vec![],
            epochs: 0,
            learning_rate: 1e-5,
            batch_images: 16,
            samples: 5,
            max_length: 20,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            chosen: ChosenDecoders::default(),
            start_from: PathBuf::new(),
            epochs: 10,
            batch_images: 16,
            micro_batches: 2,
            learning_rate: 1e-3,
            warmup_steps: 200,
            schedule: Schedule::Cosine,
            label_smoothing: 0.0,
            weight_decay: 0.0,
            average_decay: 0.0,
            scheduled_sampling: 0.0,
            precision: PrecisionChoice::F32,
            gradient_clip: 5.0,
            patience: 3,
            monitor: Monitor::default(),
            validation_images: 1000,
            save_every_minutes: 10.0,
            feature_memory_mb: 4000,
            self_critical: SelfCriticalSettings::default(),
            sizes: DecoderConfigs::default(),
        }
    }
}

impl Settings {
    /// Those of one decoder: a phase that it does not have takes no epochs.
    pub(crate) fn of(&self, decoder: DecoderKind) -> Settings {
        let mut own = self.clone();
        let decoders = std::mem::take(&mut own.self_critical.decoders);
        if !decoders.is_empty() && !decoders.contains(&decoder) {
            own.self_critical.epochs = 0;
        }
        own
    }

    /// The settings that decide one decoder's weights, and the precision that they came to on this machine; other decoders'
    /// sizes are not among them, nor where the file lies that it starts from: its content is an input.
    pub(crate) fn plan(
        &self,
        decoder: &DecoderConfig,
        precision: Precision,
        seed: u64,
    ) -> serde_json::Result<Value> {
        let mut plan = serde_json::to_value(self)?;
        if let Some(phase) = plan.get_mut("self_critical").and_then(Value::as_object_mut) {
            phase.remove("decoders");
        }
        if let Some(settings) = plan.as_object_mut() {
            settings.retain(|key, _| DecoderKind::ALL.iter().all(|kind| kind.as_str() != key));
            settings.remove("decoders");
            settings.remove("feature_memory_mb");
            settings.remove("save_every_minutes");
            settings.remove("start_from");
            settings.insert("decoder".to_owned(), serde_json::to_value(decoder)?);
            settings.insert("precision".to_owned(), serde_json::to_value(precision)?);
            settings.insert("seed".to_owned(), json!(seed));
        }
        Ok(plan)
    }

    /// The first value that makes no sense.
    pub fn problem(&self) -> Option<Problem> {
        let mut named = HashSet::new();
        let own = first([
            unless(!self.chosen.decoders.is_empty(), "decoders", "must name at least one decoder"),
            unless(
                self.chosen.decoders.iter().all(|kind| named.insert(kind)),
                "decoders",
                "must name each decoder once",
            ),
            within(1..=MOST, "epochs", self.epochs),
            within(1..=MOST, "batch_images", self.batch_images),
            within(1..=MOST_MICRO_BATCHES, "micro_batches", self.micro_batches),
            unless(self.micro_batches.is_power_of_two(), "micro_batches", "must be a power of two"),
            above_0("learning_rate", self.learning_rate),
            share("label_smoothing", self.label_smoothing),
            not_negative("weight_decay", self.weight_decay),
            share("average_decay", self.average_decay),
            within(0.0..=1.0, "scheduled_sampling", self.scheduled_sampling),
            above_0("gradient_clip", self.gradient_clip),
            at_least(1, "patience", self.patience),
            at_least(1, "validation_images", self.validation_images),
            above_0("save_every_minutes", self.save_every_minutes),
            within(0..=MOST_MB, "feature_memory_mb", self.feature_memory_mb),
        ]);
        let inner = || {
            let self_critical = self.self_critical.problem().map(|problem| problem.within("self_critical"));
            self_critical.or_else(|| self.sizes.problem())
        };
        own.or_else(inner)
    }
}

impl SelfCriticalSettings {
    fn problem(&self) -> Option<Problem> {
        first([
            above_0("learning_rate", self.learning_rate),
            within(0..=MOST, "epochs", self.epochs),
            within(1..=MOST, "batch_images", self.batch_images),
            within(2..=1000, "samples", self.samples),
            within(1..=1000, "max_length", self.max_length),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_without_sense_are_refused_by_name() {
        assert_eq!(Settings::default().problem(), None);
        type Change = fn(&mut Settings);
        let wrong: [(&str, Change); 27] = [
            ("decoders", |settings| settings.chosen.decoders.clear()),
            ("decoders", |settings| settings.chosen.decoders = vec![DecoderKind::Lstm; 2]),
            ("epochs", |settings| settings.epochs = 0),
            ("batch_images", |settings| settings.batch_images = 0),
            ("micro_batches", |settings| settings.micro_batches = 0),
            ("micro_batches", |settings| settings.micro_batches = 6),
            ("save_every_minutes", |settings| settings.save_every_minutes = 0.0),
            ("learning_rate", |settings| settings.learning_rate = f64::NAN),
            ("learning_rate", |settings| settings.learning_rate = 0.0),
            ("label_smoothing", |settings| settings.label_smoothing = 1.0),
            ("weight_decay", |settings| settings.weight_decay = f64::INFINITY),
            ("average_decay", |settings| settings.average_decay = 1.0),
            ("scheduled_sampling", |settings| settings.scheduled_sampling = 1.1),
            ("gradient_clip", |settings| settings.gradient_clip = 0.0),
            ("patience", |settings| settings.patience = 0),
            ("validation_images", |settings| settings.validation_images = 0),
            ("feature_memory_mb", |settings| settings.feature_memory_mb = u64::MAX),
            ("self_critical.learning_rate", |settings| settings.self_critical.learning_rate = 0.0),
            ("self_critical.batch_images", |settings| settings.self_critical.batch_images = 0),
            ("self_critical.samples", |settings| settings.self_critical.samples = 1),
            ("self_critical.max_length", |settings| settings.self_critical.max_length = 0),
            ("lstm.hidden_size", |settings| settings.sizes.lstm.hidden_size = 0),
            ("soft_attention.dropout", |settings| settings.sizes.soft_attention.dropout = 1.0),
            ("soft_attention.attention_penalty", |settings| {
                settings.sizes.soft_attention.attention_penalty = f64::NAN;
            }),
            ("hard_attention.entropy_weight", |settings| {
                settings.sizes.hard_attention.entropy_weight = -1.0;
            }),
            ("transformer.model_size", |settings| settings.sizes.transformer.model_size = 100),
            ("transformer.encoder_layers", |settings| settings.sizes.transformer.encoder_layers = -1),
        ];
        for (key, change) in wrong {
            let mut settings = Settings::default();
            change(&mut settings);
            let problem = settings.problem().map(|problem| problem.key);
            assert_eq!(problem, Some(key.to_owned()));
        }
    }

    /// Whatever number is added to the settings, someone must say that it is not negative.
    #[test]
    fn every_number_is_checked() {
        fn numbers(prefix: &str, value: &Value, found: &mut Vec<String>) {
            for (key, value) in value.as_object().into_iter().flatten() {
                let path = format!("{prefix}/{key}");
                match value {
                    Value::Number(_) => found.push(path),
                    _ => numbers(&path, value, found),
                }
            }
        }
        let settings = serde_json::to_value(Settings::default()).unwrap();
        let mut found = vec![];
        numbers("", &settings, &mut found);
        assert!(found.len() > 30);
        for path in found {
            let mut settings = settings.clone();
            let value = settings.pointer_mut(&path).unwrap();
            *value = if value.is_f64() { json!(-1.0) } else { json!(-1) };
            let Ok(settings) = serde_json::from_value::<Settings>(settings) else { continue };
            let problem = settings.problem().map(|problem| problem.key);
            assert_eq!(problem, Some(path.trim_start_matches('/').replace('/', ".")));
        }
    }

    #[test]
    fn a_recipe_holds_the_sizes_of_its_own_decoder_only() {
        let settings = Settings { precision: PrecisionChoice::Auto, ..Settings::default() };
        let plan = settings.plan(&settings.sizes.get(DecoderKind::UpDown), Precision::Bf16, 7).unwrap();
        let keys: Vec<&str> = plan.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "average_decay batch_images decoder epochs gradient_clip label_smoothing learning_rate micro_batches monitor \
            patience precision schedule scheduled_sampling seed self_critical validation_images warmup_steps weight_decay";
        assert_eq!(keys.join(" "), expected);
        assert_eq!(plan["decoder"]["kind"], "up_down");
        assert_eq!(plan["precision"], "bf16", "what it came to, not what was asked for");
        let phase: Vec<&str> =
            plan["self_critical"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(phase.join(" "), "batch_images epochs learning_rate max_length samples");
    }

    #[test]
    fn the_self_critical_phase_is_that_of_the_decoders_it_names_or_of_all() {
        let epochs = |decoders: &[DecoderKind]| {
            let phase = SelfCriticalSettings { decoders: decoders.to_vec(), epochs: 3, ..Default::default() };
            let settings = Settings { self_critical: phase, ..Settings::default() };
            [DecoderKind::UpDown, DecoderKind::Transformer].map(|kind| settings.of(kind).self_critical.epochs)
        };
        assert_eq!(epochs(&[]), [3, 3]);
        assert_eq!(epochs(&[DecoderKind::Transformer]), [0, 3]);
        assert_eq!(epochs(&[DecoderKind::Lstm]), [0, 0]);
    }
}
