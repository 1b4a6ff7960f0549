//! The algorithm of training: phases of epochs, epochs of steps; each epoch is closed by scored captions.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use learn::{Adam, Log, step_seed};
use metrics::{Metric, Scores};
use model::checkpoint::{self, Header};
use rayon::ThreadPool;
use stage::progress::Progress as Bar;
use stage::stop::Stopped;
use tch::nn::VarStore;
use tch::{Device, Tensor};
use torch::decoder::Decoder;

use crate::average::Average;
use crate::data::{Examples, Pick};
use crate::objective::{CrossEntropy, Objective, SelfCritical};
use crate::progress::{Best, Epoch, Phase, Progress};
use crate::reuse;
use crate::settings::Settings;
use crate::state::{Learning, State, tensors};
use crate::step::{self, MicroBatch};
use crate::team::{Step, Team};
use crate::validation::Validation;

const LOG_EVERY: usize = 20;
const BATCHES_AHEAD: usize = 2;

/// Everything that training one decoder needs, and that stays as it is.
pub(crate) struct Trainer<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) seed: u64,
    pub(crate) device: Device,
    pub(crate) quiet: bool,
    /// Where the training writes what it publishes: checkpoints and logs.
    pub(crate) folder: &'a Path,
    /// A finished training that this one takes the place of, if its cross-entropy phase may be used.
    pub(crate) earlier: Option<&'a Path>,
    pub(crate) state: State,
    /// Whether the weights have learnt something elsewhere: then they are the first checkpoint.
    pub(crate) warm: bool,
    pub(crate) header: Header,
    pub(crate) decoder: Box<dyn Decoder>,
    pub(crate) store: VarStore,
    pub(crate) examples: &'a Examples,
    pub(crate) validation: &'a Validation,
    /// Where micro-batches are computed, each on one thread of libtorch.
    pub(crate) threads: &'a ThreadPool,
    /// Who else trains: only the first process writes anything.
    pub(crate) team: &'a Team,
    /// Asked after each step: an error saves and ends.
    pub(crate) stop: &'a dyn Fn() -> Result<(), Stopped>,
    /// Tells people what happens.
    pub(crate) note: &'a dyn Fn(&str),
}

/// What changes while training goes on, beside the weights.
struct Run {
    learning: Learning,
    progress: Progress,
    /// Of the first process.
    log: Option<Log>,
    /// When the state was saved last.
    saved: Instant,
}

/// How a phase goes.
struct Course {
    epochs: usize,
    learning_rate: f64,
    warmup_steps: usize,
    batch_images: usize,
}

impl Trainer<'_> {
    /// Trains until the epochs are over or the validation score no longer rises, resuming what was interrupted. Publishes the
    /// best checkpoint; the state stays, for whoever commits what was published.
    pub(crate) fn run(&self, fingerprint: &str) -> anyhow::Result<Progress> {
        let mut run = self.begin(fingerprint)?;
        for phase in Phase::ALL {
            let Some(course) = self.course(phase) else { continue };
            if run.progress.phase > phase {
                continue;
            }
            self.enter(phase, &mut run)?;
            let objective = self.objective(phase)?;
            while run.progress.epochs_of_phase() < course.epochs && !self.is_stuck(&run.progress) {
                self.epoch(objective.as_ref(), &course, &mut run)?;
                self.close_epoch(&mut run)?;
            }
        }
        if self.team.is_first() {
            reuse::copy(&self.state.best(&run.progress), &self.folder.join(checkpoint::FILE))?;
        }
        Ok(run.progress)
    }

    /// Goes on where an interrupted run stopped, or starts anew; other processes stand where the first one does.
    fn begin(&self, fingerprint: &str) -> anyhow::Result<Run> {
        let mut learning = self.learning();
        let fresh = Progress::fresh(fingerprint);
        let found = if self.team.is_first() { self.found(fresh, &mut learning)? } else { fresh };
        let progress = self.team.tell(found)?;
        self.team.same(&tensors(&self.store, &learning))?;
        learning.adam.set_steps(i32::try_from(progress.steps_of_phase())?);
        let log = self.team.is_first().then(|| Log::open(self.folder, progress.done.steps)).transpose()?;
        Ok(Run { learning, progress, log, saved: Instant::now() })
    }

    /// Where an interrupted run stopped, or a start.
    fn found(&self, fresh: Progress, learning: &mut Learning) -> anyhow::Result<Progress> {
        let Some(progress) = self.state.resume(&fresh.fingerprint, &self.store, learning)? else {
            return self.start(fresh);
        };
        let Progress { done, epoch, .. } = &progress;
        (self.note)(&match epoch.steps {
            0 => format!("  resuming after epoch {}", done.epochs),
            steps => format!("  resuming after epoch {} and {steps} steps", done.epochs),
        });
        Ok(progress)
    }

    /// A fresh training: it begins behind the cross-entropy phase where an earlier run has finished the same one.
    fn start(&self, fresh: Progress) -> anyhow::Result<Progress> {
        self.state.clear()?;
        let here = || reuse::find(self.folder, &self.header, false);
        let earlier = || reuse::find(self.earlier?, &self.header, true);
        let found = self.course(Phase::SelfCritical).and_then(|_| here().or_else(earlier));
        let Some(found) = found else {
            reuse::forget(self.folder)?;
            return if self.warm { self.start_warm(fresh) } else { Ok(fresh) };
        };
        (self.note)("  the cross-entropy phase is that of an earlier run");
        torch::checkpoint::restore_decoder(&found, &self.store)?;
        let best = Best { score: self.monitored(&self.scores()?), epoch: 0 };
        let progress = Progress { phase: Phase::SelfCritical, best: Some(best), ..fresh };
        reuse::copy(&found, &self.state.best(&progress))?;
        reuse::keep(&found, self.folder)?;
        Ok(progress)
    }

    /// A fresh training of weights that caption already: no epoch replaces them that captions worse.
    fn start_warm(&self, fresh: Progress) -> anyhow::Result<Progress> {
        let scores = self.scores()?;
        let [bleu_4, cider_d] = [Metric::Bleu4, Metric::CiderD].map(|metric| scores[metric]);
        (self.note)(&format!("  at the start: greedy val BLEU-4 {bleu_4:.3}, CIDEr-D {cider_d:.3}"));
        let best = Best { score: self.monitored(&scores), epoch: 0 };
        let progress = Progress { best: Some(best), ..fresh };
        torch::checkpoint::save(&self.state.best(&progress), &self.header, &self.store)?;
        Ok(progress)
    }

    /// Makes sure that `phase` has begun: the second one goes on from the best checkpoint of the first.
    fn enter(&self, phase: Phase, run: &mut Run) -> anyhow::Result<()> {
        let best = self.state.best(&run.progress);
        if run.progress.phase < phase {
            if self.team.is_first() {
                reuse::keep(&best, self.folder)?;
            }
            run.progress.enter(phase);
        }
        if phase == Phase::SelfCritical && run.progress.steps_of_phase() == 0 {
            (self.note)("  rewards: CIDEr-D of sampled captions, from the best checkpoint on");
            if self.team.is_first() {
                torch::checkpoint::restore_decoder(&best, &self.store)?;
            }
            run.learning = self.learning();
            self.team.same(&tensors(&self.store, &run.learning))?;
        }
        Ok(())
    }

    /// One pass over the train images, or the rest of it.
    fn epoch(&self, objective: &dyn Objective, course: &Course, run: &mut Run) -> anyhow::Result<()> {
        let began = Instant::now();
        let Progress { phase, epoch: Epoch { steps: done, seconds: before, .. }, .. } = run.progress;
        let seed = self.seed_of(phase);
        let mut batches = self.examples.shuffled(course.batch_images, seed, run.progress.epochs_of_phase());
        let steps = batches.len() * course.epochs;
        let batches = batches.split_off(done);
        let label = format!("epoch {}", run.progress.done.epochs + 1);
        let bar = Bar::new(&label, "batches", batches.len(), self.quiet);
        std::thread::scope(|scope| -> anyhow::Result<()> {
            // The next batches are read while this one is computed.
            let (sender, receiver) = sync_channel(BATCHES_AHEAD);
            let (examples, device, count) = (self.examples, self.device, self.settings.micro_batches);
            let own = self.team.own();
            let read =
                move |picks: &Vec<Pick>| step::read(objective, examples, picks, count, own.clone(), device);
            // Sending fails when an error has ended the epoch.
            scope.spawn(move || batches.iter().try_for_each(|picks| sender.send(read(picks))));
            for micro_batches in receiver {
                let go_on = (self.stop)();
                let stop =
                    self.step(objective, course, steps, (micro_batches?, go_on.is_err()), run, &bar)?;
                run.progress.epoch.seconds = before + began.elapsed().as_secs_f64();
                if stop || run.saved.elapsed() >= self.save_every() {
                    self.save(run)?;
                }
                go_on?;
                anyhow::ensure!(!stop, "another process of the training was stopped, and all with it");
            }
            Ok(())
        })
    }

    /// Gradients, Adam. `steps` are those of the whole phase; `stop` is what this process wants, and what comes of it what all do.
    fn step(
        &self,
        objective: &dyn Objective,
        course: &Course,
        steps: usize,
        (micro_batches, stop): (Vec<MicroBatch>, bool),
        run: &mut Run,
        bar: &Bar,
    ) -> anyhow::Result<bool> {
        let Run { learning, progress, log, .. } = run;
        let done = progress.steps_of_phase();
        let words = micro_batches.iter().map(|micro_batch| micro_batch.batch.tokens).sum();
        let parameters: Vec<Tensor> =
            learning.adam.parameters().map(|(_, parameter)| parameter.shallow_clone()).collect();
        let at = (step_seed(self.seed_of(progress.phase), done), done as f64 / steps.max(1) as f64);
        let decoder = self.decoder.as_ref();
        let own = step::compute(objective, decoder, &parameters, micro_batches, at, self.threads)?;
        let Step { sum, words, stop } = self.team.sum(own, &parameters, words, stop)?;
        anyhow::ensure!(
            sum.value.is_finite(),
            "the loss is {} at step {}: lower train.learning_rate",
            sum.value,
            progress.done.steps
        );
        let rate = course.learning_rate * self.settings.schedule.factor(done, course.warmup_steps, steps);
        learning.adam.step(&sum.gradients, rate, self.settings.gradient_clip, self.threads)?;
        learning.average.update(done, self.threads)?;
        progress.done.steps += 1;
        progress.epoch.add(sum.value, words);
        if let Some(log) = log.as_mut().filter(|_| progress.done.steps.is_multiple_of(LOG_EVERY)) {
            let measure = progress.phase.measure();
            let name = format!("train/{measure}");
            let values = [(name.as_str(), sum.value)].into_iter().chain(sum.more);
            log.write(progress.done.steps, &Vec::from_iter(values.chain([("train/learning_rate", rate)])))?;
            bar.message(format!("{measure} {:.3}", sum.value));
        }
        bar.add(1);
        Ok(stop)
    }

    /// Saves where training stands.
    fn save(&self, run: &mut Run) -> anyhow::Result<()> {
        if self.team.is_first() {
            self.state.save(&run.progress, &self.store, &run.learning)?;
        }
        run.saved = Instant::now();
        Ok(())
    }

    fn save_every(&self) -> Duration {
        // More minutes than a duration holds are never.
        Duration::try_from_secs_f64(60.0 * self.settings.save_every_minutes).unwrap_or(Duration::MAX)
    }

    /// Scores the mean weights, keeps them when they are the best so far, and saves where training stands.
    fn close_epoch(&self, run: &mut Run) -> anyhow::Result<()> {
        let epoch = run.progress.epoch;
        run.learning.average.swap();
        let scores = self.team.is_first().then(|| self.scores()).transpose()?;
        let score = self.team.tell(scores.as_ref().map_or(0.0, |scores| self.monitored(scores)))?;
        let better = run.progress.close_epoch(score);
        if better && self.team.is_first() {
            torch::checkpoint::save(&self.state.best(&run.progress), &self.header, &self.store)?;
        }
        run.learning.average.swap();
        if let (Some(scores), Some(log)) = (&scores, &mut run.log) {
            let measure = run.progress.phase.measure();
            let values = [
                ("validation/bleu_4", scores[Metric::Bleu4]),
                ("validation/cider_d", scores[Metric::CiderD]),
                (&format!("train/epoch_{measure}"), epoch.value()),
                ("train/epoch_seconds", epoch.seconds),
            ];
            log.write(run.progress.done.steps, &values)?;
        }
        self.save(run)?;
        if let Some(scores) = scores {
            (self.note)(&format!(
                "  epoch {:>2}: {} {:.3}, greedy val BLEU-4 {:.3}, CIDEr-D {:.3}{}  ({:.0} s)",
                run.progress.done.epochs,
                run.progress.phase.measure(),
                epoch.value(),
                scores[Metric::Bleu4],
                scores[Metric::CiderD],
                if better { " *" } else { "" },
                epoch.seconds,
            ));
        }
        Ok(())
    }

    fn is_stuck(&self, progress: &Progress) -> bool {
        progress.epochs_without_gain() >= self.settings.patience
    }

    /// Scores of greedy validation captions.
    fn scores(&self) -> anyhow::Result<Scores> {
        self.validation.score(self.decoder.as_ref(), &self.header.vocabulary, self.device, self.threads)
    }

    /// The score that chooses the checkpoint.
    fn monitored(&self, scores: &Scores) -> f64 {
        scores[self.settings.monitor.metric()]
    }

    fn learning(&self) -> Learning {
        Learning {
            adam: Adam::new(self.store.variables(), self.settings.weight_decay),
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

    fn objective(&self, phase: Phase) -> anyhow::Result<Box<dyn Objective + '_>> {
        Ok(match phase {
            Phase::CrossEntropy => Box::new(CrossEntropy::new(self.settings)),
            Phase::SelfCritical => Box::new(SelfCritical::new(
                &self.settings.self_critical,
                &self.header.vocabulary,
                self.examples,
            )?),
        })
    }

    /// What decides the order of the data and all draws of a phase.
    fn seed_of(&self, phase: Phase) -> u64 {
        step_seed(self.seed, phase as usize)
    }
}

#[cfg(test)]
mod tests;
