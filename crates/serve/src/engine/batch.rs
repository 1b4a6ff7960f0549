//! The batching policy, and the thread that runs batches.
//!
//! While one batch runs, photos gather for the next: under load batches grow by themselves, and a photo that comes
//! alone does not wait. Only for photos that are being decoded a batch waits, and not longer than the policy says.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use caption::{CaptionError, Captioned, Features, Keyword, Photo};

use super::{Answer, How, Job, Timing};
use crate::error::{self, ServeError};
use crate::metrics::Metrics;

/// How batches are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Most photos per batch.
    pub(crate) max_batch: usize,
    /// How long its first photo may wait for others, from the moment that it was decoded.
    pub(crate) max_wait: Duration,
}

/// The one thread that runs networks, and what it takes its work from.
pub(super) struct Batches {
    pub(super) jobs: Receiver<Job>,
    pub(super) policy: Policy,
    pub(super) coming: Arc<AtomicUsize>,
    pub(super) metrics: Arc<Metrics>,
}

impl Batches {
    /// Runs batches until nobody can send jobs any more.
    pub(super) fn run(&self) {
        while let Ok(first) = self.jobs.recv() {
            let jobs = self.gather(first);
            // A panic costs its batch, whose clients see the channel close, not the server.
            if catch_unwind(AssertUnwindSafe(|| self.batch(jobs))).is_err() {
                tracing::error!("a batch panicked");
            }
        }
    }

    fn gather(&self, first: Job) -> Vec<Job> {
        let until = first.since + self.policy.max_wait;
        let mut jobs = vec![first];
        while jobs.len() < self.policy.max_batch {
            let next = match self.jobs.try_recv() {
                Ok(job) => Some(job),
                Err(TryRecvError::Empty) if self.coming.load(Ordering::Acquire) > 0 => {
                    self.jobs.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
                }
                Err(_) => None,
            };
            match next {
                Some(job) => jobs.push(job),
                None => break,
            }
        }
        jobs
    }

    fn batch(&self, jobs: Vec<Job>) {
        let (gone, mut jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.reply.is_closed());
        self.metrics.abandoned.inc_by(gone.len() as u64);
        drop(gone);
        // There are photos for several models, and around a reload for two versions.
        while let Some(served) = jobs.first().map(|job| job.served.clone()) {
            let (same, others) = jobs.into_iter().partition(|job| Arc::ptr_eq(&job.served, &served));
            self.features(same);
            jobs = others;
        }
    }

    /// Runs the networks over all, then the search over those with equal settings.
    fn features(&self, jobs: Vec<Job>) {
        self.metrics.batch_photos.with_label_values(&[&jobs[0].served.name]).observe(jobs.len() as f64);
        let began = Instant::now();
        let photos: Vec<Photo> = jobs.iter().map(|job| job.photo.clone()).collect();
        let features = match jobs[0].served.captioner.features(&photos) {
            Ok(features) => features,
            Err(error) => return refuse(jobs, &error),
        };
        let took = began.elapsed();
        let mut waiting: Vec<(Job, Features)> = jobs.into_iter().zip(features).collect();
        while let Some(how) = waiting.first().map(|(job, _)| job.how.clone()) {
            let (same, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(job, _)| job.how == how);
            let (jobs, features): (Vec<Job>, Vec<Features>) = same.into_iter().unzip();
            self.search(jobs, &features, began, took);
            waiting = others;
        }
    }

    fn search(&self, jobs: Vec<Job>, features: &[Features], began: Instant, features_took: Duration) {
        let searched = Instant::now();
        let captioner = &jobs[0].served.captioner;
        let found = match &jobs[0].how {
            How::Search(settings) => captioner.search(features, settings),
            How::Draw { settings, count, seed } => captioner.sample(features, settings, (*count, *seed)),
        };
        let captioned: Vec<Captioned> = match found {
            Ok(captioned) => captioned,
            Err(error) => return refuse(jobs, &error),
        };
        let most = jobs.iter().map(|job| job.keywords).max().unwrap_or(0);
        let named = match most > 0 && captioner.names_keywords() {
            true => captioner.keywords(features, most),
            false => Ok(vec![vec![]; jobs.len()]),
        };
        let named: Vec<Vec<Keyword>> = match named {
            Ok(named) => named,
            Err(error) => return refuse(jobs, &error),
        };
        let search = searched.elapsed();
        for ((job, captioned), mut keywords) in jobs.into_iter().zip(captioned).zip(named) {
            keywords.truncate(job.keywords);
            let queue = began.saturating_duration_since(job.since);
            for (phase, time) in [("queue", queue), ("features", features_took), ("search", search)] {
                let labels = [&*job.served.name, phase];
                self.metrics.phase_seconds.with_label_values(&labels).observe(time.as_secs_f64());
            }
            let timing = Timing {
                decode: milliseconds(job.decode),
                queue: milliseconds(queue),
                features: milliseconds(features_took),
                search: milliseconds(search),
            };
            // Who has left needs no answer.
            let _ = job.reply.send(Ok(Answer { captioned, keywords, timing }));
        }
    }
}

fn refuse(jobs: Vec<Job>, error: &CaptionError) {
    let error = error::line(error);
    tracing::error!(error, photos = jobs.len(), "a batch failed");
    for job in jobs {
        let _ = job.reply.send(Err(ServeError::Internal(error.clone())));
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}
