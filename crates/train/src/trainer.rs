//! The training loop: epochs of steps, each epoch closed by scored captions.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use model::checkpoint::{self, Header};
use model::decoder::Decoder;
use stage::progress::Progress as Bar;
use tch::Device;
use tch::nn::VarStore;

use crate::adam::Adam;
use crate::average::Average;
use crate::data::{Batch, Examples};
use crate::log::Log;
use crate::objective::{CrossEntropy, Objective, SelfCritical};
use crate::reuse;
use crate::settings::{Monitor, Settings};
use crate::state::{self, Learning, Phase, Progress};
use crate::validation::Validation;

const LOG_EVERY: usize = 20;
const BATCHES_AHEAD: usize = 2;

/// Everything that training one decoder needs.
pub(crate) struct Trainer<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) seed: u64,
    pub(crate) device: Device,
    pub(crate) quiet: bool,
    pub(crate) folder: &'a Path,
    pub(crate) checkpoint: &'a Path,
    pub(crate) header: Header,
    pub(crate) decoder: Box<dyn Decoder>,
    pub(crate) store: VarStore,
}

/// What came of it.
pub(crate) struct Trained {
    /// Epochs run, over all attempts.
    pub(crate) epochs: usize,
    /// The epoch whose weights were kept.
    pub(crate) best_epoch: usize,
    /// Its validation score.
    pub(crate) best_score: f64,
    /// Optimiser steps.
    pub(crate) steps: usize,
}

/// How a phase goes.
struct Course {
    epochs: usize,
    learning_rate: f64,
    warmup_steps: usize,
    batch_images: usize,
}

impl Trainer<'_> {
    /// Trains until the epochs are over or the validation score no longer rises, resuming what was interrupted.
    pub(crate) fn run(
        &self,
        examples: &Examples,
        validation: &Validation,
        fingerprint: &str,
        note: impl Fn(&str),
    ) -> anyhow::Result<Trained> {
        let mut learning = self.learning();
        let resumed = state::resume(self.folder, fingerprint, &self.store, &mut learning)?;
        // The best checkpoint of the interrupted run must still be there, or its score would be a promise only.
        let resumed = resumed.filter(|_| self.checkpoint.is_file());
        if let Some(progress) = &resumed {
            note(&format!("  resuming after epoch {}", progress.epoch));
        }
        let fresh = || Progress { fingerprint: fingerprint.to_owned(), ..Progress::default() };
        let mut progress = match resumed {
            Some(progress) => progress,
            None if self.course(Phase::SelfCritical).is_some() => {
                self.after_cross_entropy(validation, fresh(), &note)?.unwrap_or_else(fresh)
            }
            None => fresh(),
        };
        state::begin(self.folder)?;
        let mut log = Log::open(self.folder, progress.step)?;
        for phase in [Phase::CrossEntropy, Phase::SelfCritical] {
            let Some(course) = self.course(phase) else { continue };
            if progress.phase > phase {
                continue;
            }
            if progress.phase < phase {
                reuse::keep(self.folder)?;
                progress = Progress { phase, began: (progress.epoch, progress.step), ..progress };
            }
            if phase == Phase::SelfCritical && progress.epoch == progress.began.0 {
                note("  rewards: CIDEr-D of sampled captions, from the best checkpoint on");
                checkpoint::restore_decoder(self.checkpoint, &self.store)?;
                learning = self.learning();
            }
            let objective: Box<dyn Objective> = match phase {
                Phase::CrossEntropy => Box::new(CrossEntropy::new(self.settings)),
                Phase::SelfCritical => Box::new(SelfCritical::new(
                    &self.settings.self_critical,
                    &self.header.vocabulary,
                    examples,
                )?),
            };
            while progress.epoch - progress.began.0 < course.epochs && !self.is_stuck(&progress) {
                let started = Instant::now();
                let value = self.epoch(
                    objective.as_ref(),
                    &course,
                    examples,
                    &mut learning,
                    &mut progress,
                    &mut log,
                )?;
                let seconds = started.elapsed().as_secs_f64();
                self.close_epoch(
                    validation,
                    &mut learning,
                    &mut progress,
                    &mut log,
                    (value, seconds),
                    &note,
                )?;
            }
        }
        state::remove(self.folder)?;
        Ok(Trained {
            epochs: progress.epoch,
            best_epoch: progress.best_epoch,
            best_score: progress.best_score.unwrap_or_default(),
            steps: progress.step,
        })
    }

    /// Where training stands when an earlier run has finished the same cross-entropy phase.
    fn after_cross_entropy(
        &self,
        validation: &Validation,
        fresh: Progress,
        note: &impl Fn(&str),
    ) -> anyhow::Result<Option<Progress>> {
        if !reuse::found(self.folder, &self.header)? {
            return Ok(None);
        }
        note("  the cross-entropy phase is that of an earlier run");
        checkpoint::restore_decoder(self.checkpoint, &self.store)?;
        let (_, score) = self.score(validation)?;
        Ok(Some(Progress { phase: Phase::SelfCritical, best_score: Some(score), ..fresh }))
    }

    /// Scores of greedy validation captions, and the one that chooses the checkpoint.
    fn score(&self, validation: &Validation) -> anyhow::Result<(metrics::Scores, f64)> {
        let scores = validation.score(self.decoder.as_ref(), &self.header.vocabulary, self.device)?;
        let score = match self.settings.monitor {
            Monitor::Bleu4 => scores.bleu[3],
            Monitor::CiderD => scores.cider_d,
        };
        Ok((scores, score))
    }

    fn learning(&self) -> Learning {
        Learning {
            adam: Adam::new(&self.store, self.settings.weight_decay),
            average: Average::new(&self.store, self.settings.average_decay),
        }
    }

    /// The settings of a phase; `None` when it is not wanted.
    fn course(&self, phase: Phase) -> Option<Course> {
        let settings = self.settings;
        let course = match phase {
            Phase::CrossEntropy => Course {
                epochs: settings.epochs,
                learning_rate: settings.learning_rate,
                warmup_steps: settings.warmup_steps,
                batch_images: settings.batch_images,
            },
            Phase::SelfCritical => Course {
                epochs: settings.self_critical.epochs,
                learning_rate: settings.self_critical.learning_rate,
                warmup_steps: 0,
                batch_images: settings.self_critical.batch_images,
            },
        };
        (course.epochs > 0).then_some(course)
    }

    fn is_stuck(&self, progress: &Progress) -> bool {
        progress.epoch - progress.best_epoch.max(progress.began.0) >= self.settings.patience.max(1)
    }

    /// Scores the mean weights, keeps them when they are the best so far, and saves where training stands.
    fn close_epoch(
        &self,
        validation: &Validation,
        learning: &mut Learning,
        progress: &mut Progress,
        log: &mut Log,
        (value, seconds): (f64, f64),
        note: &impl Fn(&str),
    ) -> anyhow::Result<()> {
        learning.average.swap();
        let (scores, score) = self.score(validation)?;
        progress.epoch += 1;
        let better = progress.best_score.is_none_or(|best| score > best);
        if better {
            (progress.best_score, progress.best_epoch) = (Some(score), progress.epoch);
            checkpoint::save(self.checkpoint, &self.header, &self.store)?;
        }
        learning.average.swap();
        state::save(self.folder, progress, &self.store, learning)?;
        let measure = format!("train/epoch_{}", progress.phase.measure());
        let values = [
            ("validation/bleu_4", scores.bleu[3]),
            ("validation/cider_d", scores.cider_d),
            (measure.as_str(), value),
            ("train/epoch_seconds", seconds),
        ];
        log.write(progress.step, &values)?;
        note(&format!(
            "  epoch {:>2}: {} {value:.3}, greedy val BLEU-4 {:.3}, CIDEr-D {:.3}{}  ({seconds:.0} s)",
            progress.epoch,
            progress.phase.measure(),
            scores.bleu[3],
            scores.cider_d,
            if better { " *" } else { "" },
        ));
        Ok(())
    }

    /// One pass over the train images; returns the mean of what the objective reports, weighted by tokens.
    fn epoch(
        &self,
        objective: &dyn Objective,
        course: &Course,
        examples: &Examples,
        learning: &mut Learning,
        progress: &mut Progress,
        log: &mut Log,
    ) -> anyhow::Result<f64> {
        let settings = self.settings;
        // Counted from the phase's own beginning: it is the same whoever ran the earlier one.
        let seed = step_seed(self.seed, progress.phase as usize);
        let batches = examples.shuffled(course.batch_images, seed, progress.epoch - progress.began.0);
        let steps = batches.len() * course.epochs;
        let bar = Bar::new(&format!("epoch {}", progress.epoch + 1), "batches", batches.len(), self.quiet);
        let (mut sum, mut tokens) = (0.0, 0);
        std::thread::scope(|scope| -> anyhow::Result<()> {
            // The next batches are read while this one is computed.
            let (sender, receiver) = sync_channel(BATCHES_AHEAD);
            let device = self.device;
            scope.spawn(move || {
                // Sending fails when an error has ended the epoch.
                batches.iter().try_for_each(|picks| sender.send(examples.batch(picks, device)))
            });
            for batch in receiver {
                let batch: Batch = batch?;
                // Dropout draws from libtorch's generator, whose state cannot be saved: seed it a step.
                let done = progress.step - progress.began.1;
                let seed = step_seed(seed, done);
                tch::manual_seed(seed as i64);
                let share = done as f64 / steps.max(1) as f64;
                let loss = objective.loss(self.decoder.as_ref(), &batch, share, seed)?;
                let value = loss.reported.first().map_or(f64::NAN, |(_, value)| *value);
                anyhow::ensure!(
                    value.is_finite(),
                    "the loss is {value} at step {}: lower train.learning_rate",
                    progress.step
                );
                let rate = course.learning_rate * settings.schedule.factor(done, course.warmup_steps, steps);
                learning.adam.minimize(&loss.loss, rate, settings.gradient_clip);
                learning.average.update(done);
                progress.step += 1;
                sum += value * batch.tokens as f64;
                tokens += batch.tokens;
                if progress.step.is_multiple_of(LOG_EVERY) {
                    let mut values = loss.reported;
                    values.push(("train/learning_rate", rate));
                    log.write(progress.step, &values)?;
                    bar.message(format!("{} {value:.3}", progress.phase.measure()));
                }
                bar.add(1);
            }
            Ok(())
        })?;
        Ok(sum / tokens.max(1) as f64)
    }
}

/// A seed for one step that looks nothing like its neighbours' (SplitMix64, Steele et al. 2014).
fn step_seed(seed: u64, step: usize) -> u64 {
    let mut z = seed.wrapping_add((step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{Mutex, PoisonError};

    use artifacts::Split;
    use artifacts::features::FeatureSpec;
    use artifacts::tokens::TokenRow;
    use artifacts::vocabulary::Vocabulary;
    use half::f16;
    use model::decoder::{DecoderConfig, HardAttentionConfig, SoftAttentionConfig};
    use model::grids::GridStore;
    use model::precision::Precision;

    use super::*;
    use crate::settings::SelfCriticalSettings;

    static ALONE: Mutex<()> = Mutex::new(());

    fn spec() -> FeatureSpec {
        FeatureSpec {
            backbone: "tiny".to_owned(),
            view: Default::default(),
            weights_sha256: String::new(),
            transform: serde_json::Value::Null,
            grid: [1, 2],
            channels: 3,
        }
    }

    fn features() -> GridStore {
        let ids = (0..6).map(|number| number.to_string()).collect();
        GridStore::resident(spec(), ids, (0..36).map(|value| f16::from_f32((value % 7) as f32)).collect())
    }

    fn examples() -> Examples {
        Examples::new(features(), None, &captions())
    }

    fn captions() -> Vec<TokenRow> {
        let row = |number: u32| TokenRow {
            image_id: number.to_string(),
            caption_id: number,
            split: Split::Train,
            words: ["one", "two"].map(str::to_owned).to_vec(),
            ids: vec![1, 4 + number % 3, 4 + number / 2, 2],
            length: 4,
        };
        (0..6).map(row).collect()
    }

    fn validation() -> Validation {
        Validation::new(features(), &captions(), 6)
    }

    /// Decoders that draw in training: soft attention its dropout, hard attention also where to look.
    fn decoders() -> [DecoderConfig; 2] {
        let soft = SoftAttentionConfig {
            embedding_size: 4,
            feature_size: 4,
            hidden_size: 4,
            attention_size: 4,
            ..Default::default()
        };
        let hard = HardAttentionConfig {
            embedding_size: 4,
            feature_size: 4,
            hidden_size: 4,
            attention_size: 4,
            ..Default::default()
        };
        [DecoderConfig::SoftAttention(soft), DecoderConfig::HardAttention(hard)]
    }

    /// Trains three epochs on words and two on whole captions; `note` hears of each. Returns the kept checkpoint and
    /// the last logged line.
    fn train(decoder: &DecoderConfig, folder: &Path, note: impl Fn(&str)) -> (Vec<u8>, String) {
        let self_critical = SelfCriticalSettings { epochs: 2, batch_images: 2, ..Default::default() };
        let settings = Settings {
            epochs: 3,
            batch_images: 2,
            patience: 9,
            label_smoothing: 0.1,
            weight_decay: 0.01,
            average_decay: 0.9,
            scheduled_sampling: 0.5,
            self_critical,
            ..Settings::default()
        };
        let vocabulary = Vocabulary::new(["one", "two", "three"].map(str::to_owned)).unwrap();
        // Other tests draw from libtorch's generator too, which belongs to the process.
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        tch::manual_seed(1);
        let store = VarStore::new(Device::Cpu);
        let header = Header {
            decoder: decoder.clone(),
            vocabulary,
            features: vec![spec()],
            provenance: serde_json::Value::Null,
        };
        let checkpoint = folder.join(checkpoint::FILE);
        let dimensions = header.dimensions();
        let trainer = Trainer {
            settings: &settings,
            seed: 1,
            device: Device::Cpu,
            quiet: true,
            folder,
            checkpoint: &checkpoint,
            header,
            decoder: decoder.build(&store.root(), dimensions, Precision::F32).unwrap(),
            store,
        };
        let trained = trainer.run(&examples(), &validation(), "recipe", note).unwrap();
        assert_eq!(trained.steps, 3 * trained.epochs);
        assert!(!folder.join("state").exists());
        let log = std::fs::read_to_string(folder.join(crate::log::FILE)).unwrap();
        let without_seconds = log.lines().last().unwrap().split("seconds").next().unwrap().to_owned();
        (std::fs::read(&checkpoint).unwrap(), without_seconds)
    }

    #[test]
    fn a_finished_cross_entropy_phase_is_not_run_again() {
        let folder = tempfile::tempdir().unwrap();
        let decoder = &decoders()[0];
        let epochs = std::cell::Cell::new(0);
        let count = |line: &str| epochs.set(epochs.get() + usize::from(line.contains("epoch ")));
        let wanted = train(decoder, folder.path(), count);
        assert_eq!(epochs.replace(0), 5);
        let again = train(decoder, folder.path(), count);
        assert_eq!(epochs.get(), 2);
        assert!(wanted.0 == again.0, "another start of the second phase gave other weights");
    }

    #[test]
    fn an_interrupted_run_ends_like_an_undisturbed_one() {
        for decoder in decoders() {
            let undisturbed = tempfile::tempdir().unwrap();
            let wanted = train(&decoder, undisturbed.path(), |_| ());
            for killed_in in ["epoch  2", "epoch  4"] {
                let interrupted = tempfile::tempdir().unwrap();
                let stopped = catch_unwind(AssertUnwindSafe(|| {
                    train(&decoder, interrupted.path(), |line| assert!(!line.contains(killed_in), "killed"));
                }));
                assert!(stopped.is_err() && interrupted.path().join("state").exists());
                let resumed = train(&decoder, interrupted.path(), |line| assert!(!line.contains(killed_in)));
                assert!(wanted == resumed, "{decoder:?}: resuming changed {} to {}", wanted.1, resumed.1);
            }
        }
    }
}
