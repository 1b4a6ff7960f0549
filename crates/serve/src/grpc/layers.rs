//! What happens to every call: a line in the log, the token, its message within limits. What is refused here is refused
//! in gRPC's way: status 200, and the reason in `grpc-status`.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::stream;
use tonic::{Code, Status};

use super::wire::{self, Photos};
use super::{ENVELOPE, inference};
use crate::app::App;
use crate::body;
use crate::budget::HeldBody;
use crate::error::ServeError;
use crate::packing::Packing;

/// Whether a message is packed, and its length: before it (gRPC over HTTP/2).
const PREFIX: usize = 5;
/// The first of these where it is.
const PACKED: u8 = 1;

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
    match path.strip_prefix("/tensorflow.serving.").or(path.strip_prefix("/grpc.")).unwrap_or_default() {
        "PredictionService/Predict" => "PredictionService.Predict",
        "PredictionService/GetModelMetadata" => "PredictionService.GetModelMetadata",
        "ModelService/GetModelStatus" => "ModelService.GetModelStatus",
        "health.v1.Health/Check" => "Health.Check",
        "health.v1.Health/Watch" => "Health.Watch",
        other if other.starts_with("reflection.v1") => "ServerReflection",
        _ => inference::call(path).unwrap_or("none"),
    }
}

/// Where the message of a call has its photos.
fn photos(path: &str) -> Photos {
    match call(path) {
        "PredictionService.Predict" => wire::PREDICT,
        "GRPCInferenceService.ModelInfer" => wire::MODEL_INFER,
        _ => &[],
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

/// Waits for the whole message before it is decoded, unpacks it, and looks at what it is made of.
pub(super) async fn read_body(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let packing = parts.headers.remove("grpc-encoding");
    match message(&app, packing.as_ref(), body, photos(parts.uri.path())).await {
        Ok((body, _held)) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => Status::from(error).into_http(),
    }
}

async fn message(
    app: &App,
    packing: Option<&HeaderValue>,
    mut body: Body,
    photos: Photos,
) -> Result<(Body, HeldBody), ServeError> {
    let most = app.max_body + ENVELOPE;
    let (mut bytes, mut held) = body::read(app, &mut body, most + PREFIX).await?;
    if bytes.first() == Some(&PACKED) {
        let packing = Packing::named(packing)?.ok_or_else(|| ServeError::Packing(String::new()))?;
        let mut unpacked = packing.unpack(Body::from(bytes.split_off(PREFIX.min(bytes.len()))));
        let (message, holds) = body::read(app, &mut unpacked, most).await?;
        held = holds;
        let prefix = [&[0][..], &(message.len() as u32).to_be_bytes()].concat();
        check(&message, photos)?;
        let parts = [Bytes::from(prefix), message].map(Ok::<_, Infallible>);
        return Ok((Body::from_stream(stream::iter(parts)), held));
    }
    check(bytes.get(PREFIX..).unwrap_or_default(), photos)?;
    Ok((Body::from(bytes), held))
}

fn check(message: &[u8], photos: Photos) -> Result<(), ServeError> {
    if wire::beside_photos(message, photos) > ENVELOPE {
        let most = ENVELOPE >> 10;
        return Err(ServeError::TooLarge(format!("a message holds at most {most} kB beside its photos")));
    }
    Ok(())
}
