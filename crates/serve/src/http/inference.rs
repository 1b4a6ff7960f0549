//! The Open Inference Protocol, version 2, of KServe and Triton.
//!
//! <https://github.com/kserve/open-inference-protocol>. Bytes in JSON are base64; Triton's binary extension sends them
//! behind the JSON instead, each after its length.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::images::{Base64, OneOrMany};
use super::own::when;
use super::route::{Route, get, post};
use crate::app::App;
use crate::engine::Request;
use crate::error::ServeError;
use crate::models::Served;
use crate::settings;

/// Bytes of the JSON, when bytes of tensors follow it.
const JSON_LENGTH: &str = "inference-header-content-length";

pub(super) fn routes() -> Vec<Route> {
    let model = |path: &str| format!("/v2/models/{{model}}{path}");
    let version = |path: &str| format!("/v2/models/{{model}}/versions/{{version}}{path}");
    vec![
        get("/v2", server),
        get("/v2/health/live", async || Json(json!({ "live": true }))),
        get("/v2/health/ready", server_ready),
        get(model(""), metadata),
        get(version(""), metadata),
        get(model("/ready"), ready),
        get(version("/ready"), ready),
        post(model("/infer"), infer),
        post(version("/infer"), infer),
    ]
}

/// A model in an address, and a version or none.
#[derive(Deserialize)]
struct Which {
    model: String,
    version: Option<u64>,
}

impl Which {
    fn find(&self, app: &App) -> Result<Arc<Served>, ServeError> {
        app.models.find(&self.model, self.version)
    }
}

#[derive(Deserialize)]
struct Infer {
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: OneOrMany<Input>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    datatype: String,
    shape: OneOrMany<u64>,
    #[serde(default)]
    parameters: InputParameters,
    data: Option<OneOrMany<Base64>>,
}

#[derive(Default, Deserialize)]
struct InputParameters {
    binary_data_size: Option<usize>,
}

async fn server() -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({ "name": "caption-serve", "version": version, "extensions": ["binary_tensor_data"] }))
}

async fn server_ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let ready = app.health().ready;
    (when(ready), Json(json!({ "ready": ready })))
}

async fn ready(
    Path(which): Path<Which>,
    State(app): State<Arc<App>>,
) -> Result<(StatusCode, Json<Value>), ServeError> {
    which.find(&app)?;
    let ready = app.health().ready;
    Ok((when(ready), Json(json!({ "name": which.model, "ready": ready }))))
}

async fn metadata(Path(which): Path<Which>, State(app): State<Arc<App>>) -> Result<Json<Value>, ServeError> {
    let served = which.find(&app)?;
    Ok(Json(json!({
        "name": which.model,
        "versions": [served.version.to_string()],
        "platform": "captioning",
        "inputs": [{ "name": "image", "datatype": "BYTES", "shape": [-1] }],
        "outputs": [
            { "name": "caption", "datatype": "BYTES", "shape": [-1] },
            { "name": "log_probability", "datatype": "FP64", "shape": [-1] },
        ],
    })))
}

async fn infer(
    Path(which): Path<Which>,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ServeError> {
    let served = which.find(&app)?;
    let malformed = |error: String| ServeError::Malformed(error);
    let length =
        headers.get(JSON_LENGTH).map(|length| length.to_str().ok().and_then(|text| text.parse().ok()));
    let length = length.map_or(Some(body.len()), |length| length.filter(|length| *length <= body.len()));
    let length = length.ok_or_else(|| malformed(format!("{JSON_LENGTH} is not the length of the JSON")))?;
    let request: Infer = serde_json::from_slice(&body[..length])
        .map_err(|error| malformed(format!("the body is not understood: {error}")))?;
    let photos = photos(request.inputs.0, body.slice(length..))?;
    let mut parameters = request.parameters;
    // Triton's client asks for outputs in binary, and takes them as they come.
    parameters.remove("binary_data_output");
    let settings = settings::search(served.captioner.search_settings(), parameters)?;
    let requests = photos.into_iter().map(|bytes| Request::new(bytes, settings.clone())).collect();
    let answers = app.caption(&served, requests).await?;
    let (captions, scores): (Vec<_>, Vec<_>) = answers
        .iter()
        .map(|answer| answer.captioned.best())
        .map(|best| (best.caption.as_str(), best.log_probability))
        .unzip();
    let shape = [captions.len()];
    let mut answer = json!({
        "model_name": which.model,
        "model_version": served.version.to_string(),
        "outputs": [
            { "name": "caption", "datatype": "BYTES", "shape": shape, "data": captions },
            { "name": "log_probability", "datatype": "FP64", "shape": shape, "data": scores },
        ],
    });
    if let Some(id) = request.id {
        answer["id"] = id.into();
    }
    Ok(Json(answer))
}

/// The photos of the only input, from the JSON or from behind it.
fn photos(inputs: Vec<Input>, binary: Bytes) -> Result<Vec<Bytes>, ServeError> {
    let malformed = |error: String| Err(ServeError::Malformed(error));
    let Ok([input]) = <[Input; 1]>::try_from(inputs) else {
        return malformed("send one input, the photos; settings are parameters of the request".to_owned());
    };
    if input.datatype != "BYTES" {
        return malformed(format!("{} has datatype {}: send files as BYTES", input.name, input.datatype));
    }
    let photos: Vec<Bytes> = match (input.data, input.parameters.binary_data_size) {
        (Some(data), None) => data.0.into_iter().map(|photo| photo.0).collect(),
        (None, Some(size)) if size == binary.len() => elements(binary)?,
        (None, Some(size)) => {
            let found = binary.len();
            return malformed(format!("{size} bytes were announced behind the JSON, {found} came"));
        }
        _ => return malformed("an input has data or binary_data_size".to_owned()),
    };
    let announced = input.shape.0.iter().try_fold(1u64, |all, size| all.checked_mul(*size));
    if announced != Some(photos.len() as u64) {
        return malformed(format!("the shape {:?} does not fit {} photos", input.shape.0, photos.len()));
    }
    Ok(photos)
}

/// Elements of a BYTES tensor in binary: a little-endian length of four bytes before each.
fn elements(mut binary: Bytes) -> Result<Vec<Bytes>, ServeError> {
    let mut elements = Vec::new();
    while let Some((length, rest)) = binary.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        if length > rest.len() {
            return Err(ServeError::Malformed("a photo behind the JSON is cut short".to_owned()));
        }
        elements.push(binary.slice(4..4 + length));
        binary = binary.slice(4 + length..);
        if elements.len() > super::images::MOST {
            return Err(ServeError::Malformed("too many photos behind the JSON".to_owned()));
        }
    }
    match binary.is_empty() {
        true => Ok(elements),
        false => Err(ServeError::Malformed("bytes are left over behind the photos".to_owned())),
    }
}
