//! From the bytes of photos to captions: who is let in, where photos are decoded, how they meet in batches.

mod batch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use caption::{Captioned, Keyword, Photo, SampleSettings, SearchSettings};
use crossbeam_channel::{Sender, unbounded};
use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::budget::Budget;
use crate::error::ServeError;
use crate::metrics::Metrics;
use crate::models::Served;
use crate::threads::Threads;

/// Name of the threads that run networks.
pub(crate) const THREAD: &str = "batches";
/// How long one rests after a first panic.
const FIRST_REST: Duration = Duration::from_millis(100);

/// How the captions of a photo come about.
#[derive(Clone, PartialEq)]
pub(crate) enum How {
    /// The most probable ones.
    Search(SearchSettings),
    /// So many by chance.
    Draw { settings: SampleSettings, count: usize, seed: u64 },
}

/// A photo as it came, and how its captions are found.
pub(crate) struct Request {
    pub(crate) bytes: Bytes,
    pub(crate) how: How,
    /// Keywords that are wanted at most, of a model that names them.
    pub(crate) keywords: usize,
}

impl Request {
    /// For the captions alone.
    pub(crate) fn new(bytes: Bytes, settings: SearchSettings) -> Request {
        Request { bytes, how: How::Search(settings), keywords: 0 }
    }
}

/// What a photo got, and how long it took.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) captioned: Captioned,
    pub(crate) keywords: Vec<Keyword>,
    pub(crate) timing: Timing,
}

/// Milliseconds that a photo spent in each phase.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Timing {
    /// Bytes → pixels, with the wait for a free core.
    pub(crate) decode: f64,
    /// Waiting for a thread.
    pub(crate) queue: f64,
    /// The CNN, for all photos of the thread's share.
    pub(crate) features: f64,
    /// The decoder, for all of the share that have the same settings.
    pub(crate) search: f64,
}

impl Timing {
    /// Of photos that went side by side.
    pub(crate) fn longest(self, other: Timing) -> Timing {
        Timing {
            decode: self.decode.max(other.decode),
            queue: self.queue.max(other.queue),
            features: self.features.max(other.features),
            search: self.search.max(other.search),
        }
    }
}

/// A decoded photo that waits for a thread. Its client may be gone: then `reply` is closed.
struct Job {
    served: Arc<Served>,
    photo: Photo,
    how: How,
    keywords: usize,
    decode: Duration,
    since: Instant,
    reply: oneshot::Sender<Result<Answer, ServeError>>,
    /// Its place among the photos under way, free when the job is gone.
    _place: Place,
}

/// One of the places that `--queue` gives.
struct Place {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit, metrics: &Arc<Metrics>) -> Place {
        metrics.queued.inc();
        Place { _permit: permit, metrics: metrics.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.queued.dec();
    }
}

/// Lets photos in, decodes them, and hands them to the threads that run networks.
pub(crate) struct Engine {
    places: Arc<Semaphore>,
    all_places: usize,
    /// Photos that are decoded at once: as many as there are cores. Large ones have a lane of their own in the budget.
    decoders: Arc<Semaphore>,
    budget: Arc<Budget>,
    queue: Sender<Job>,
    metrics: Arc<Metrics>,
}

impl Engine {
    /// Starts the threads, which end with the engine.
    pub(crate) fn start(
        places: usize,
        max_batch: usize,
        budget: Arc<Budget>,
        threads: &Arc<Threads>,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Engine> {
        let (queue, jobs) = unbounded();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let busy = Arc::default();
        let worker = batch::Worker { jobs, max_batch, threads: cores, busy, metrics: metrics.clone() };
        for _ in 0..cores {
            let worker = worker.clone();
            threads.start(THREAD, FIRST_REST, move || worker.run())?;
        }
        Ok(Engine {
            places: Arc::new(Semaphore::new(places)),
            all_places: places,
            decoders: Arc::new(Semaphore::new(cores)),
            budget,
            queue,
            metrics,
        })
    }

    /// Captions the photos of one request, which share a version of the model. All of them get in or none does, and one
    /// that cannot be used fails the request. Dropping the future takes them out of the queue.
    pub(crate) async fn caption(
        &self,
        served: &Arc<Served>,
        requests: Vec<Request>,
    ) -> Result<Vec<Answer>, ServeError> {
        let (count, most) = (requests.len(), self.all_places);
        if count > most {
            return Err(ServeError::TooLarge(format!("{count} photos in a request: {most} are allowed")));
        }
        let permits = self.places.clone().try_acquire_many_owned(count as u32);
        let mut permits = permits.map_err(|_| ServeError::Busy)?;
        let places: Vec<Place> =
            std::iter::from_fn(|| permits.split(1)).map(|one| Place::new(one, &self.metrics)).collect();
        let all = requests.into_iter().zip(places).enumerate();
        let all = all.map(async |(index, (request, place))| {
            let answer = self.one(served, request, place).await;
            answer.map_err(|error| if count > 1 { error.at(index) } else { error })
        });
        try_join_all(all).await
    }

    async fn one(&self, served: &Arc<Served>, request: Request, place: Place) -> Result<Answer, ServeError> {
        let started = Instant::now();
        let failed = |error: &dyn std::fmt::Display| ServeError::Internal(error.to_string());
        let mut core = Some(self.decoders.clone().acquire_owned().await.map_err(|error| failed(&error))?);
        let Request { bytes, how, keywords } = request;
        let measured = bytes.clone();
        let needed = spawn_blocking(move || caption::memory_needed(&measured));
        let needed = needed.await.map_err(|error| failed(&error))??;
        if self.budget.is_large(needed) {
            // No core waits for it.
            core = None;
        }
        let memory = self.budget.photo(needed).await?;
        let with = served.clone();
        let decoded = spawn_blocking(move || {
            let _held = (core, memory);
            with.captioner.photo(&bytes)
        });
        let photo = decoded.await.map_err(|error| failed(&error))??;
        let decode = started.elapsed();
        self.metrics
            .phase_seconds
            .with_label_values(&[&*served.name, "decode"])
            .observe(decode.as_secs_f64());
        let (reply, answer) = oneshot::channel();
        let (served, since) = (served.clone(), Instant::now());
        let job = Job { served, photo, how, keywords, decode, since, reply, _place: place };
        self.queue.send(job).map_err(|error| failed(&error))?;
        answer.await.map_err(|_| ServeError::Internal("the batch of this photo failed".to_owned()))?
    }
}
