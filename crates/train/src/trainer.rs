//! The training loop: epochs of cross-entropy steps, each epoch closed by scored captions.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use artifacts::progress::Progress as Bar;
use artifacts::vocabulary::PAD;
use model::checkpoint::{self, Header};
use model::decoder::Decoder;
use tch::nn::VarStore;
use tch::{Device, Reduction, Tensor};

use crate::adam::Adam;
use crate::data::{Batch, Examples};
use crate::log::Log;
use crate::settings::{Monitor, Settings};
use crate::state::{self, Progress};
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

impl Trainer<'_> {
    /// Trains until the epochs are over or the validation score no longer rises, resuming what was interrupted.
    pub(crate) fn run(
        &self,
        examples: &Examples,
        validation: &Validation,
        fingerprint: &str,
        note: impl Fn(&str),
    ) -> anyhow::Result<Trained> {
        let mut adam = Adam::new(&self.store);
        let resumed = state::resume(self.folder, fingerprint, &self.store, &mut adam)?;
        // The best checkpoint of the interrupted run must still be there, or its score would be a promise only.
        let resumed = resumed.filter(|_| self.checkpoint.is_file());
        if let Some(progress) = &resumed {
            note(&format!("  resuming after epoch {}", progress.epoch));
        }
        let mut progress =
            resumed.unwrap_or(Progress { fingerprint: fingerprint.to_owned(), ..Progress::default() });
        let mut log = Log::open(self.folder, progress.step)?;
        while progress.epoch < self.settings.epochs && !self.is_stuck(&progress) {
            let started = Instant::now();
            let loss = self.epoch(examples, &mut adam, &mut progress, &mut log)?;
            let seconds = started.elapsed().as_secs_f64();
            let scores = validation.score(self.decoder.as_ref(), &self.header.vocabulary, self.device)?;
            let score = match self.settings.monitor {
                Monitor::Bleu4 => scores.bleu[3],
                Monitor::CiderD => scores.cider_d,
            };
            progress.epoch += 1;
            let better = progress.best_score.is_none_or(|best| score > best);
            if better {
                (progress.best_score, progress.best_epoch) = (Some(score), progress.epoch);
                checkpoint::save(self.checkpoint, &self.header, &self.store)?;
            }
            state::save(self.folder, &progress, &self.store, &adam)?;
            let values = [
                ("validation/bleu_4", scores.bleu[3]),
                ("validation/cider_d", scores.cider_d),
                ("train/epoch_loss", loss),
                ("train/epoch_seconds", seconds),
            ];
            log.write(progress.step, &values)?;
            note(&format!(
                "  epoch {:>2}: loss {loss:.3}, greedy val BLEU-4 {:.3}, CIDEr-D {:.3}{}  ({seconds:.0} s)",
                progress.epoch,
                scores.bleu[3],
                scores.cider_d,
                if better { " *" } else { "" },
            ));
        }
        state::remove(self.folder)?;
        Ok(Trained {
            epochs: progress.epoch,
            best_epoch: progress.best_epoch,
            best_score: progress.best_score.unwrap_or_default(),
            steps: progress.step,
        })
    }

    fn is_stuck(&self, progress: &Progress) -> bool {
        progress.epoch - progress.best_epoch >= self.settings.patience.max(1)
    }

    /// One pass over the train images; returns the mean loss of a token.
    fn epoch(
        &self,
        examples: &Examples,
        adam: &mut Adam,
        progress: &mut Progress,
        log: &mut Log,
    ) -> anyhow::Result<f64> {
        let settings = self.settings;
        let batches = examples.shuffled(settings.batch_images, self.seed, progress.epoch);
        let steps = batches.len() * settings.epochs;
        let bar = Bar::new(&format!("epoch {}", progress.epoch + 1), "batches", batches.len(), self.quiet);
        let (mut sum, mut tokens) = (0.0, 0);
        std::thread::scope(|scope| -> anyhow::Result<()> {
            // The next batches are read while this one is computed.
            let (sender, receiver) = sync_channel(BATCHES_AHEAD);
            let device = self.device;
            scope.spawn(move || {
                // Sending fails when an error has ended the epoch.
                batches.iter().try_for_each(|numbers| sender.send(examples.batch(numbers, device)))
            });
            for batch in receiver {
                let batch = batch?;
                // Dropout draws from libtorch's generator, whose state cannot be saved: seed it a step.
                tch::manual_seed(step_seed(self.seed, progress.step));
                let (loss, cross_entropy) = self.loss(&batch);
                anyhow::ensure!(
                    cross_entropy.is_finite(),
                    "the loss is {cross_entropy} at step {}: lower train.learning_rate",
                    progress.step
                );
                let factor = settings.schedule.factor(progress.step, settings.warmup_steps, steps);
                adam.minimize(&loss, settings.learning_rate * factor, settings.gradient_clip);
                progress.step += 1;
                sum += cross_entropy * batch.tokens as f64;
                tokens += batch.tokens;
                if progress.step.is_multiple_of(LOG_EVERY) {
                    let rate = settings.learning_rate * factor;
                    let values = [("train/loss", cross_entropy), ("train/learning_rate", rate)];
                    log.write(progress.step, &values)?;
                    bar.message(format!("loss {cross_entropy:.3}"));
                }
                bar.add(1);
            }
            Ok(())
        })?;
        Ok(sum / tokens.max(1) as f64)
    }

    /// The loss to minimise, and its cross-entropy a token.
    fn loss(&self, batch: &Batch) -> (Tensor, f64) {
        let memory = self.decoder.encode(&batch.grid, true);
        let forced = self.decoder.forward(&memory, &batch.input, true);
        let logits = forced.logits.flatten(0, 1);
        let target = batch.target.flatten(0, 1);
        let cross_entropy =
            logits.cross_entropy_loss(&target, None::<Tensor>, Reduction::Mean, i64::from(PAD), 0.0);
        let value = cross_entropy.double_value(&[]);
        let attention =
            forced.attention.and_then(|attention| self.decoder.attention_loss(&attention, &batch.mask));
        (attention.map_or(cross_entropy.shallow_clone(), |attention| cross_entropy + attention), value)
    }
}

/// A seed for one step that looks nothing like its neighbours' (SplitMix64, Steele et al. 2014).
fn step_seed(seed: u64, step: usize) -> i64 {
    let mut z = seed.wrapping_add((step as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as i64
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use artifacts::Split;
    use artifacts::captions::CaptionRow;
    use artifacts::features::{FeatureSpec, FeatureStore};
    use artifacts::tokens::TokenRow;
    use artifacts::vocabulary::Vocabulary;
    use half::f16;
    use model::decoder::{DecoderConfig, Dimensions, SoftAttentionConfig};

    use super::*;

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

    fn features() -> FeatureStore {
        let ids = (0..6).map(|number| number.to_string()).collect();
        FeatureStore::resident(spec(), ids, (0..36).map(|value| f16::from_f32((value % 7) as f32)).collect())
    }

    fn examples() -> Examples {
        let row = |number: u32| TokenRow {
            image_id: number.to_string(),
            caption_id: number,
            split: Split::Train,
            ids: vec![1, 4 + number % 3, 4 + number / 2, 2],
            length: 4,
        };
        Examples::new(features(), &(0..6).map(row).collect::<Vec<_>>())
    }

    fn validation() -> Validation {
        let row = |number: u32| CaptionRow {
            image_id: number.to_string(),
            caption_id: number,
            caption: "one two".to_owned(),
        };
        Validation::new(features(), &(0..6).map(row).collect::<Vec<_>>(), 6)
    }

    /// Trains four epochs; `note` hears of each. Returns the kept checkpoint and the last logged line.
    fn train(folder: &Path, note: impl Fn(&str)) -> (Vec<u8>, String) {
        let settings = Settings { epochs: 4, batch_images: 2, patience: 9, ..Settings::default() };
        let sizes = SoftAttentionConfig {
            embedding_size: 4,
            feature_size: 4,
            hidden_size: 4,
            attention_size: 4,
            ..Default::default()
        };
        let decoder = DecoderConfig::SoftAttention(sizes);
        let vocabulary = Vocabulary::new(["one", "two", "three"].map(str::to_owned)).unwrap();
        tch::manual_seed(1);
        let store = VarStore::new(Device::Cpu);
        let header = Header {
            decoder: decoder.clone(),
            vocabulary,
            features: vec![spec()],
            provenance: serde_json::Value::Null,
        };
        let checkpoint = folder.join(checkpoint::FILE);
        let trainer = Trainer {
            settings: &settings,
            seed: 1,
            device: Device::Cpu,
            quiet: true,
            folder,
            checkpoint: &checkpoint,
            header,
            decoder: decoder.build(&store.root(), Dimensions { channels: 3, vocabulary: 7 }),
            store,
        };
        let trained = trainer.run(&examples(), &validation(), "recipe", note).unwrap();
        assert_eq!((trained.epochs, trained.steps), (4, 12));
        assert!(!folder.join("state").exists());
        let log = std::fs::read_to_string(folder.join(crate::log::FILE)).unwrap();
        let without_seconds = log.lines().last().unwrap().split("seconds").next().unwrap().to_owned();
        (std::fs::read(&checkpoint).unwrap(), without_seconds)
    }

    #[test]
    fn an_interrupted_run_ends_like_an_undisturbed_one() {
        let [undisturbed, interrupted] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let wanted = train(undisturbed.path(), |_| ());
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            train(interrupted.path(), |line| assert!(!line.contains("epoch  2"), "killed"));
        }));
        assert!(stopped.is_err() && interrupted.path().join("state").exists());
        let resumed = train(interrupted.path(), |line| assert!(!line.contains("epoch  2")));
        assert!(wanted == resumed, "resuming changed the result: {} / {}", wanted.1, resumed.1);
    }
}
