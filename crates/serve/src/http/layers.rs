//! What happens to every request: an id, a line in the log, the token, its body within limits.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::body;
use crate::error::ServeError;
use crate::packing::Packing;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken from a client, so that it cannot fill the log.
const MAX_ID: usize = 64;
/// How long the rest of a body that is too large is read and thrown away.
const LINGER: Duration = Duration::from_secs(2);

/// Gives the request an id, or keeps the client's, and sends it back.
pub(super) async fn request_id(mut request: Request, next: Next) -> Response {
    let plain = |id: &&HeaderValue| id.len() <= MAX_ID && id.to_str().is_ok();
    let id = request.headers().get(&REQUEST_ID).filter(plain).cloned().unwrap_or_else(new_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn new_id() -> HeaderValue {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    HeaderValue::try_from(format!("{now:x}-{number:x}")).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Counts the request and writes a line about it; never about what is in it.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    // The pattern, not the address: a client must not invent label values.
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let id = request.headers().get(&REQUEST_ID).cloned();
    let response = next.run(request).await;
    let (status, took) = (response.status(), began.elapsed());
    app.metrics.requests.with_label_values(&[route.as_str(), status.as_str()]).inc();
    app.metrics.request_seconds.with_label_values(&[route.as_str()]).observe(took.as_secs_f64());
    let id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    let milliseconds = took.as_millis() as u64;
    tracing::info!(id, %method, route, status = status.as_u16(), milliseconds, "request");
    response
}

/// A panic costs its request.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    ServeError::Internal("this request met a bug of the server, which is in its log".to_owned())
        .into_response()
}

/// Lets in who has the token.
pub(super) async fn authorize(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ServeError> {
    app.authorize(request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes))?;
    Ok(next.run(request).await)
}

/// Waits for the whole body before anything else is done: a slow client holds nothing but its own connection.
pub(super) async fn read_body(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ServeError> {
    let (mut parts, mut body) = request.into_parts();
    // Some clients say it of every request, though there is no body.
    let packing = match body.is_end_stream() {
        true => None,
        false => Packing::named(parts.headers.get(header::CONTENT_ENCODING))?,
    };
    if let Some(packing) = packing {
        parts.headers.remove(header::CONTENT_ENCODING);
        parts.headers.remove(header::CONTENT_LENGTH);
        body = packing.unpack(body);
    }
    let read = body::read(&app, &mut body, app.max_body).await;
    if let (Err(ServeError::TooLarge(_)), None) = (&read, packing) {
        // Many clients listen only when they have sent all, and find the connection closed instead of the answer.
        let rest = async { while body::next_frame(&mut body).await.is_some() {} };
        let _ = tokio::time::timeout(LINGER, rest).await;
    }
    let (body, _held) = read?;
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}
