//! What the server counts, for Prometheus.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::error::ServeError;

/// Seconds: 1 ms to 30 s.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const PHOTOS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// What `/metrics` shows to Prometheus.
pub(crate) struct Metrics {
    registry: Registry,
    /// Requests by `route` and `status`.
    pub(crate) requests: IntCounterVec,
    /// Time from the head of a request to its answer, by `route`.
    pub(crate) request_seconds: HistogramVec,
    /// Requests for captions by `model` and `status`, whatever the protocol.
    pub(crate) model_requests: IntCounterVec,
    /// Time of a `phase`: decode, queue, features, search; by `model`.
    pub(crate) phase_seconds: HistogramVec,
    /// Photos per batch, by `model`.
    pub(crate) batch_photos: HistogramVec,
    /// Photos under way.
    pub(crate) queued: IntGauge,
    /// Photos whose clients left before their batch began.
    pub(crate) abandoned: IntCounter,
    /// Version of each `model` that new requests get.
    pub(crate) version: IntGaugeVec,
    /// Bytes by which the process grew while it loaded that version.
    pub(crate) model_memory: IntGaugeVec,
    /// Loads of newer versions by `model` and `result`: ok, failed.
    pub(crate) loads: IntCounterVec,
    /// Whether each `thread` beside the requests runs: 1, or 0 while it rests after a panic.
    pub(crate) threads: IntGaugeVec,
    /// Panics after which a `thread` was started again.
    pub(crate) restarts: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new() -> Result<Metrics, prometheus::Error> {
        let histogram = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)
        };
        let metrics = Metrics {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("serve_requests_total", "Requests answered"),
                &["route", "status"],
            )?,
            request_seconds: histogram(
                "serve_request_seconds",
                "From a request's head to its answer",
                &SECONDS,
                &["route"],
            )?,
            model_requests: IntCounterVec::new(
                Opts::new("serve_model_requests_total", "Requests for captions of a model"),
                &["model", "status"],
            )?,
            phase_seconds: histogram(
                "serve_phase_seconds",
                "A photo's time in each phase",
                &SECONDS,
                &["model", "phase"],
            )?,
            batch_photos: histogram("serve_batch_photos", "Photos per batch", &PHOTOS, &["model"])?,
            queued: IntGauge::new("serve_queued_photos", "Photos under way")?,
            abandoned: IntCounter::new(
                "serve_abandoned_photos_total",
                "Photos whose clients left while they waited",
            )?,
            version: IntGaugeVec::new(
                Opts::new("serve_model_version", "Version of a model that is served"),
                &["model"],
            )?,
            model_memory: IntGaugeVec::new(
                Opts::new("serve_model_memory_bytes", "Growth of the process while a model was loaded"),
                &["model"],
            )?,
            loads: IntCounterVec::new(
                Opts::new("serve_model_loads_total", "Loads of newer versions of a model by result"),
                &["model", "result"],
            )?,
            threads: IntGaugeVec::new(
                Opts::new("serve_thread_up", "Whether a background thread runs"),
                &["thread"],
            )?,
            restarts: IntCounterVec::new(
                Opts::new(
                    "serve_thread_restarts_total",
                    "Panics after which a background thread was started again",
                ),
                &["thread"],
            )?,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.request_seconds.clone()))?;
        registry.register(Box::new(metrics.model_requests.clone()))?;
        registry.register(Box::new(metrics.phase_seconds.clone()))?;
        registry.register(Box::new(metrics.batch_photos.clone()))?;
        registry.register(Box::new(metrics.queued.clone()))?;
        registry.register(Box::new(metrics.abandoned.clone()))?;
        registry.register(Box::new(metrics.version.clone()))?;
        registry.register(Box::new(metrics.model_memory.clone()))?;
        registry.register(Box::new(metrics.loads.clone()))?;
        registry.register(Box::new(metrics.threads.clone()))?;
        registry.register(Box::new(metrics.restarts.clone()))?;
        Ok(metrics)
    }

    /// The text format of Prometheus.
    pub(crate) fn text(&self) -> Result<String, ServeError> {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        text.map_err(|error| ServeError::Internal(error.to_string()))
    }
}
