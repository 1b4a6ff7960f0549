//! How photos are shared among the threads that run networks.
//!
//! There is one for each core. Whichever is free takes its share of what waits, and what it took is answered as soon as it
//! is done: nobody waits for the photos of another thread. Under load the shares grow by themselves, and the search of some
//! photos together costs little more than that of one. A photo that comes alone has all cores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use caption::{CaptionError, Captioned, Cores, Features, Keyword, Photo};
use crossbeam_channel::Receiver;

use super::{Answer, How, Job, Timing};
use crate::error::{self, ServeError};
use crate::metrics::Metrics;

/// One of the threads that run networks, and what it takes its work from.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) jobs: Receiver<Job>,
    /// Most photos in a share.
    pub(super) max_batch: usize,
    /// Threads like this one.
    pub(super) threads: usize,
    /// Those at work.
    pub(super) busy: Arc<AtomicUsize>,
    pub(super) metrics: Arc<Metrics>,
}

/// One more thread at work, while this is there.
struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Worker {
    /// Works until nobody can send jobs any more.
    pub(super) fn run(&self) {
        while let Ok(first) = self.jobs.recv() {
            let others = self.busy.fetch_add(1, Ordering::AcqRel);
            let _busy = Busy(&self.busy);
            let jobs = self.share(first, others);
            let cores = if jobs.len() == 1 && others == 0 { Cores::All } else { Cores::One };
            // A panic costs its share, whose clients see the channel close, not the server.
            if catch_unwind(AssertUnwindSafe(|| self.batch(jobs, cores))).is_err() {
                tracing::error!("a batch panicked");
            }
        }
    }

    /// As many jobs of those that wait as leave the idle threads as many.
    fn share(&self, first: Job, others: usize) -> Vec<Job> {
        let idle = self.threads.saturating_sub(others).max(1);
        let share = (self.jobs.len() + 1).div_ceil(idle).min(self.max_batch);
        [first].into_iter().chain(self.jobs.try_iter().take(share - 1)).collect()
    }

    fn batch(&self, jobs: Vec<Job>, cores: Cores) {
        let (gone, mut jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.reply.is_closed());
        self.metrics.abandoned.inc_by(gone.len() as u64);
        drop(gone);
        // There are photos for several models, and around a reload for two versions.
        while let Some(served) = jobs.first().map(|job| job.served.clone()) {
            let (same, others) = jobs.into_iter().partition(|job| Arc::ptr_eq(&job.served, &served));
            self.features(same, cores);
            jobs = others;
        }
    }

    /// Runs the networks over all, then the search over those with equal settings.
    fn features(&self, jobs: Vec<Job>, cores: Cores) {
        self.metrics.batch_photos.with_label_values(&[&jobs[0].served.name]).observe(jobs.len() as f64);
        let began = Instant::now();
        let photos: Vec<Photo> = jobs.iter().map(|job| job.photo.clone()).collect();
        let features = match jobs[0].served.captioner.features_on(&photos, cores) {
            Ok(features) => features,
            Err(error) => return refuse(jobs, &error),
        };
        let took = began.elapsed();
        let mut waiting: Vec<(Job, Features)> = jobs.into_iter().zip(features).collect();
        while let Some(how) = waiting.first().map(|(job, _)| job.how.clone()) {
            let (same, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(job, _)| job.how == how);
            let (jobs, features): (Vec<Job>, Vec<Features>) = same.into_iter().unzip();
            self.search(jobs, &features, cores, (began, took));
            waiting = others;
        }
    }

    fn search(
        &self,
        jobs: Vec<Job>,
        features: &[Features],
        cores: Cores,
        (began, features_took): (Instant, Duration),
    ) {
        let searched = Instant::now();
        let captioner = &jobs[0].served.captioner;
        let found = match &jobs[0].how {
            How::Search(settings) => captioner.search_on(features, settings, cores),
            How::Draw { settings, count, seed } => {
                captioner.sample_on(features, settings, (*count, *seed), cores)
            }
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
