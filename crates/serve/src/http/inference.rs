//! The Open Inference Protocol, version 2, of KServe and Triton.
//!
//! <https://github.com/kserve/open-inference-protocol>. Bytes in JSON are base64; Triton's binary extension sends tensors
//! behind the JSON instead, in requests and, for who asks for it, in answers.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::address::{Address, Which};
use super::json::{self, OneOrMany, SmallObject};
use super::own::when;
use super::photo::{Photo, bytes_of};
use super::route::{Route, get, post};
use crate::app::App;
use crate::error::ServeError;
use crate::inference::{self, Values};
use crate::proto::inference::{ModelMetadataResponse, ServerMetadataResponse};
use crate::signature;

/// Bytes of the JSON, when bytes of tensors follow it.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// Whether outputs that do not say it themselves are bytes behind the JSON.
const BINARY_OUTPUT: &str = "binary_data_output";
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
    shared_memory_region: Option<IgnoredAny>,
    /// MLServer's name for what the bytes are: `base64` if they are text of it.
    content_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(expecting = "an output as an object with its name")]
struct Output {
    name: String,
    #[serde(default)]
    parameters: OutputParameters,
}

#[derive(Default, Deserialize)]
#[serde(expecting = "parameters of an output as an object")]
struct OutputParameters {
    /// Whether it is bytes behind the JSON.
    binary_data: Option<bool>,
    shared_memory_region: Option<IgnoredAny>,
    classification: Option<IgnoredAny>,
}

async fn server() -> Json<ServerMetadataResponse> {
    Json(inference::server())
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
) -> Result<Json<ModelMetadataResponse>, ServeError> {
    let served = which.find(&app)?;
    Ok(Json(inference::metadata(&served)))
}

async fn infer(
    Address(which): Address<Which>,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ServeError> {
    let served = which.find(&app)?;
    let malformed = |error: String| ServeError::Malformed(error);
    let length =
        headers.get(JSON_LENGTH).map(|length| length.to_str().ok().and_then(|text| text.parse().ok()));
    let length = length.map_or(Some(body.len()), |length| length.filter(|length| *length <= body.len()));
    let length = length.ok_or_else(|| malformed(format!("{JSON_LENGTH} is not the length of the JSON")))?;
    let request: Infer = json::read(&body[..length], SEND)?;
    request.outputs.iter().try_for_each(Output::check)?;
    let photos = photos(request.inputs.all, body.slice(length..))?;
    let mut parameters = request.parameters.0;
    let binary = parameters.remove(BINARY_OUTPUT).map(|binary| binary.as_bool());
    let binary = binary.unwrap_or(Some(false));
    let binary = binary.ok_or_else(|| malformed(format!("{BINARY_OUTPUT} is true or false")))?;
    let outputs = inference::caption(&app, &served, photos, parameters).await?;
    let (mut described, mut behind) = (Vec::new(), Vec::new());
    for inference::Output { name, values } in outputs {
        let wanted = request.outputs.iter().find(|wanted| wanted.name == name);
        if wanted.is_none() && !request.outputs.is_empty() {
            continue;
        }
        let mut output = json!({ "name": name, "datatype": values.datatype(), "shape": [values.len()] });
        if wanted.and_then(|wanted| wanted.parameters.binary_data).unwrap_or(binary) {
            let bytes = values.raw();
            output["parameters"] = json!({ "binary_data_size": bytes.len() });
            behind.extend(bytes);
        } else {
            output["data"] = match values {
                Values::Texts(texts) => texts.into(),
                Values::Numbers(numbers) => numbers.into(),
            };
        }
        described.push(output);
    }
    let mut answer = json!({
        "model_name": which.model,
        "model_version": served.version.to_string(),
        "outputs": described,
    });
    if let Some(id) = request.id {
        answer["id"] = id.into();
    }
    if behind.is_empty() {
        return Ok(Json(answer).into_response());
    }
    let json = answer.to_string().into_bytes();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (JSON_LENGTH, json.len().to_string()),
    ];
    Ok((headers, [json, behind].concat()).into_response())
}

impl Output {
    fn check(&self) -> Result<(), ServeError> {
        signature::check_output(&self.name)?;
        let OutputParameters { shared_memory_region, classification, .. } = &self.parameters;
        check_parameters([("shared_memory_region", shared_memory_region), ("classification", classification)])
    }
}

fn check_parameters<const N: usize>(parameters: [(&str, &Option<IgnoredAny>); N]) -> Result<(), ServeError> {
    let mut sent = parameters.iter().filter(|(_, value)| value.is_some());
    sent.try_for_each(|(name, _)| inference::check_parameter(name))
}

/// The photos of the only input, from the JSON or from behind it.
fn photos(inputs: Vec<Input>, binary: Bytes) -> Result<Vec<Bytes>, ServeError> {
    let malformed = |error: String| Err(ServeError::Malformed(error));
    let input = inference::only(inputs)?;
    check_parameters([("shared_memory_region", &input.parameters.shared_memory_region)])?;
    inference::check_datatype(&input.name, &input.datatype, "in base64 where they stand in the JSON")?;
    let photos: Vec<Bytes> = match (input.data, input.parameters.binary_data_size) {
        (Some(data), None) => data.all.into_iter().map(|photo| photo.0).collect(),
        (None, Some(size)) if size == binary.len() => {
            let text = input.parameters.content_type.is_some_and(|kind| kind.starts_with("base64"));
            let photos = inference::elements(binary)?;
            if text { photos.iter().map(of_text).collect::<Result<_, _>>()? } else { photos }
        }
        (None, Some(size)) => {
            let found = binary.len();
            return malformed(format!("{size} bytes were announced behind the JSON, {found} came"));
        }
        _ => return malformed("an input has data or binary_data_size".to_owned()),
    };
    inference::check_shape(&input.shape.all, photos.len())?;
    Ok(photos)
}

fn of_text(photo: &Bytes) -> Result<Bytes, ServeError> {
    bytes_of(&String::from_utf8_lossy(photo)).map_err(ServeError::Malformed)
}
