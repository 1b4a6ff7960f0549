//! What happens to every call: a line in the log, the token, its message within limits. What is refused here is refused
//! in gRPC's way: status 200, and the reason in `grpc-status`.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tonic::{Code, Status};

use super::{ENVELOPE, wire};
use crate::app::App;
use crate::body;
use crate::error::ServeError;

/// Length and compression of a message, before it (gRPC over HTTP/2).
const PREFIX: usize = 5;

/// Counts the call and writes a line about it; never about what is in it.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let call = call(request.uri().path());
    let response = next.run(request).await;
    // Only what was refused before its answer began has a status here, and all of ours is.
    let code = response.extensions().get::<Status>().map_or(Code::Ok, Status::code);
    let (status, took) = (format!("{code:?}"), began.elapsed());
    app.metrics.requests.with_label_values(&[call, status.as_str()]).inc();
    app.metrics.request_seconds.with_label_values(&[call]).observe(took.as_secs_f64());
    tracing::info!(route = call, status, milliseconds = took.as_millis() as u64, "request");
    response
}

/// The name of a call that there is: a client must not invent label values.
fn call(path: &str) -> &'static str {
    match path.strip_prefix("/tensorflow.serving.") {
        Some("PredictionService/Predict") => "PredictionService.Predict",
        Some("PredictionService/GetModelMetadata") => "PredictionService.GetModelMetadata",
        Some("ModelService/GetModelStatus") => "ModelService.GetModelStatus",
        _ => "none",
    }
}

/// A panic costs its call.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    let bug = "this call met a bug of the server, which is in its log";
    Status::from(ServeError::Internal(bug.to_owned())).into_http()
}

/// Lets in who has the token.
pub(super) async fn authorize(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match app.authorize(request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes)) {
        Ok(()) => next.run(request).await,
        Err(error) => Status::from(error).into_http(),
    }
}

/// Waits for the whole message before it is decoded, and looks at what it is made of.
pub(super) async fn read_body(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (parts, mut body) = request.into_parts();
    let read = body::read(&app, &mut body, app.max_body + ENVELOPE + PREFIX).await;
    let read = read.and_then(|(bytes, held)| {
        let beside = bytes.get(PREFIX..).map_or(0, wire::beside_photos);
        if beside > ENVELOPE {
            let most = ENVELOPE >> 10;
            return Err(ServeError::TooLarge(format!("a message holds at most {most} kB beside its photos")));
        }
        Ok((bytes, held))
    });
    match read {
        Ok((bytes, _held)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(error) => Status::from(error).into_http(),
    }
}
