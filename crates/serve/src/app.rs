//! What all protocols share.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;

use crate::budget::Budget;
use crate::engine::{self, Answer, Engine, Request};
use crate::error::ServeError;
use crate::metrics::Metrics;
use crate::models::{Models, Served};
use crate::threads::Threads;

/// The server behind its protocols.
pub(crate) struct App {
    pub(crate) models: Arc<Models>,
    pub(crate) engine: Engine,
    pub(crate) metrics: Arc<Metrics>,
    /// Memory for requests.
    pub(crate) budget: Arc<Budget>,
    /// Those that work beside the requests.
    pub(crate) threads: Arc<Threads>,
    /// What clients must send, if anything.
    pub(crate) token: Option<String>,
    /// Longest time for a body to arrive, and then for its answer.
    pub(crate) deadline: Duration,
    /// Largest body in bytes.
    pub(crate) max_body: usize,
}

/// Whether requests can be answered, and what is wrong, in sentences.
pub(crate) struct Health {
    pub(crate) ready: bool,
    pub(crate) problems: Vec<String>,
}

impl App {
    pub(crate) fn health(&self) -> Health {
        let down = self.threads.down();
        let ready = !down.contains(&engine::THREAD);
        let problems = down.iter().map(|name| format!("the thread {name} panicked, and is started again"));
        Health { ready, problems: problems.chain(self.models.problems()).collect() }
    }

    /// Captions the photos of a request.
    pub(crate) async fn caption(
        &self,
        served: &Arc<Served>,
        requests: Vec<Request>,
    ) -> Result<Vec<Answer>, ServeError> {
        if requests.is_empty() {
            return Err(ServeError::Malformed("the request holds no photo".to_owned()));
        }
        let answers = tokio::time::timeout(self.deadline, self.engine.caption(served, requests)).await;
        let answers = answers.unwrap_or(Err(ServeError::Deadline));
        let status = answers.as_ref().map_or_else(ServeError::status, |_| StatusCode::OK);
        self.metrics.model_requests.with_label_values(&[&*served.name, status.as_str()]).inc();
        answers
    }

    /// Compares the `Authorization` header with the token, in a time that does not tell where they differ.
    pub(crate) fn authorize(&self, header: Option<&[u8]>) -> Result<(), ServeError> {
        let Some(token) = &self.token else { return Ok(()) };
        let sent = header.and_then(bearer).unwrap_or_default();
        let difference = sent.iter().zip(token.as_bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        let same = sent.len() == token.len() && difference == 0;
        same.then_some(()).ok_or(ServeError::Unauthorized)
    }
}

/// What is behind the scheme, which has no case (RFC 9110, 11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.trim_ascii().split_first_chunk::<7>()?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}
