//! The Open Inference Protocol, version 2, of KServe and Triton.
//!
//! <https://github.com/kserve/open-inference-protocol>. Bytes in JSON are base64; Triton's binary extension sends them
//! behind the JSON instead, each after its length.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::address::{Address, Which};
use super::json::{self, OneOrMany, SmallObject};
use super::own::when;
use super::photo::{Photo, bytes_of};
use super::route::{Route, get, post};
use super::triton;
use crate::app::App;
use crate::engine::Request;
use crate::error::ServeError;
use crate::settings;
use crate::signature;

/// Bytes of the JSON, when bytes of tensors follow it.
const JSON_LENGTH: &str = "inference-header-content-length";
/// What a body looks like, for who sends another.
const SEND: &str = concat!(
    r#"{"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": ["…"]}]}, "#,
    "with the base64 of the photo's file"
);

pub(super) fn routes() -> Vec<Route> {
    let model = |version: &str| {
        let path = |end: &str| format!("/v2/models/{{model}}{version}{end}");
        [get(path(""), metadata), get(path("/ready"), ready), post(path("/infer"), infer)]
    };
    let models = ["", "/versions/{version}"].into_iter().flat_map(model);
    [get("/v2", server)].into_iter().chain(models).collect()
}

/// For machines that watch the server.
pub(super) fn health() -> Vec<Route> {
    vec![
        get("/v2/health/live", async || Json(json!({ "live": true }))),
        get("/v2/health/ready", server_ready),
    ]
}

#[derive(Deserialize)]
#[serde(expecting = "a request as an object")]
struct Infer {
    id: Option<String>,
    #[serde(default)]
    parameters: SmallObject,
    inputs: OneOrMany<Input>,
    /// Those that are wanted: all where none is named.
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
#[serde(expecting = "an input as an object with name, shape, datatype and data")]
struct Input {
    name: String,
    datatype: String,
    shape: OneOrMany<i64>,
    #[serde(default)]
    parameters: InputParameters,
    data: Option<OneOrMany<Photo>>,
}

#[derive(Default, Deserialize)]
#[serde(expecting = "parameters of an input as an object")]
struct InputParameters {
    binary_data_size: Option<usize>,
    /// MLServer's name for what the bytes are: `base64` if they are text of it.
    content_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(expecting = "an output as an object with its name")]
struct Output {
    name: String,
}

async fn server() -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({ "name": "caption-serve", "version": version, "extensions": triton::EXTENSIONS }))
}

async fn server_ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let ready = app.health().ready;
    (when(ready), Json(json!({ "ready": ready })))
}

async fn ready(
    Address(which): Address<Which>,
    State(app): State<Arc<App>>,
) -> Result<(StatusCode, Json<Value>), ServeError> {
    which.find(&app)?;
    let ready = app.health().ready;
    Ok((when(ready), Json(json!({ "name": which.model, "ready": ready }))))
}

async fn metadata(
    Address(which): Address<Which>,
    State(app): State<Arc<App>>,
) -> Result<Json<Value>, ServeError> {
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
    Address(which): Address<Which>,
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
    let request: Infer = json::read(&body[..length], SEND)?;
    request.outputs.iter().try_for_each(|output| signature::check_output(&output.name))?;
    let photos = photos(request.inputs.all, body.slice(length..))?;
    let mut parameters = request.parameters.0;
    parameters.retain(|name, _| !triton::HINTS.contains(&name.as_str()));
    let settings = settings::search(served.captioner.search_settings(), parameters)?;
    let requests = photos.into_iter().map(|bytes| Request::new(bytes, settings.clone())).collect();
    let answers = app.caption(&served, requests).await?;
    let (captions, scores): (Vec<_>, Vec<_>) = answers
        .iter()
        .map(|answer| answer.captioned.best())
        .map(|best| (best.caption.as_str(), best.log_probability))
        .unzip();
    let shape = [captions.len()];
    let mut outputs = vec![
        json!({ "name": "caption", "datatype": "BYTES", "shape": shape, "data": captions }),
        json!({ "name": "log_probability", "datatype": "FP64", "shape": shape, "data": scores }),
    ];
    let wanted = request.outputs;
    outputs.retain(|output| wanted.is_empty() || wanted.iter().any(|wanted| output["name"] == wanted.name));
    let mut answer = json!({
        "model_name": which.model,
        "model_version": served.version.to_string(),
        "outputs": outputs,
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
        let Input { name, datatype, .. } = input;
        return malformed(format!(
            "{name} has datatype {datatype}: send the bytes of the photo's file as BYTES, in base64 where they stand in the JSON"
        ));
    }
    let photos: Vec<Bytes> = match (input.data, input.parameters.binary_data_size) {
        (Some(data), None) => data.all.into_iter().map(|photo| photo.0).collect(),
        (None, Some(size)) if size == binary.len() => {
            let text = input.parameters.content_type.is_some_and(|kind| kind.starts_with("base64"));
            let photos = elements(binary)?;
            if text { photos.iter().map(of_text).collect::<Result<_, _>>()? } else { photos }
        }
        (None, Some(size)) => {
            let found = binary.len();
            return malformed(format!("{size} bytes were announced behind the JSON, {found} came"));
        }
        _ => return malformed("an input has data or binary_data_size".to_owned()),
    };
    if !fits(&input.shape.all, photos.len()) {
        return malformed(format!("the shape {:?} does not fit {} photos", input.shape.all, photos.len()));
    }
    Ok(photos)
}

fn of_text(photo: &Bytes) -> Result<Bytes, ServeError> {
    bytes_of(&String::from_utf8_lossy(photo)).map_err(ServeError::Malformed)
}

/// Whether a tensor of a shape has as many elements; one size may be -1, whatever is left.
fn fits(shape: &[i64], elements: usize) -> bool {
    let (open, sizes): (Vec<i64>, Vec<i64>) = shape.iter().partition(|size| **size == -1);
    let product = sizes.iter().try_fold(1u64, |all, size| all.checked_mul(u64::try_from(*size).ok()?));
    match (product, open.len()) {
        (Some(product), 0) => product == elements as u64,
        (Some(product), 1) => product > 0 && (elements as u64).is_multiple_of(product),
        _ => false,
    }
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
        if elements.len() > json::MOST {
            return Err(ServeError::Malformed("too many photos behind the JSON".to_owned()));
        }
    }
    match binary.is_empty() {
        true => Ok(elements),
        false => Err(ServeError::Malformed("bytes are left over behind the photos".to_owned())),
    }
}
