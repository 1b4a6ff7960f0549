//! The REST API of TensorFlow Serving, which KServe's v1 protocol repeats.
//!
//! <https://www.tensorflow.org/tfx/serving/api_rest>

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, json};

use super::images::{Base64, OneOrMany};
use super::route::{Route, get, post};
use crate::app::App;
use crate::engine::Request;
use crate::error::ServeError;
use crate::models::Served;
use crate::settings;
use crate::signature::{self, SIGNATURE};

/// A path's `{model}` and `{version}` end in `:predict` where a photo is posted: the router knows no such endings.
pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/v1/models", list),
        get("/v1/models/{model}", status),
        post("/v1/models/{model}", predict),
        get("/v1/models/{model}/metadata", metadata),
        get("/v1/models/{model}/versions/{version}", version_status),
        post("/v1/models/{model}/versions/{version}", predict_by_version),
        get("/v1/models/{model}/versions/{version}/metadata", version_metadata),
    ]
}

/// A body of `:predict`: `instances` by rows, or `inputs` by columns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Predict {
    #[serde(default)]
    signature_name: String,
    instances: Option<OneOrMany<Row>>,
    inputs: Option<Columns>,
}

/// `{"b64": "…"}`, TensorFlow's way to write bytes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Binary {
    b64: Base64,
}

/// A photo, `{"b64": "…"}` or `{"image_bytes": {"b64": "…"}, "beam_size": 3}`.
struct Row {
    photo: Base64,
    settings: Map<String, Value>,
}

/// Photos as `[{"b64": "…"}]` or `{"image_bytes": […], "beam_size": 3}`; a setting is one for all or one per photo.
struct Columns {
    photos: Vec<Binary>,
    settings: Vec<(String, Vec<Number>)>,
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Row;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str(r#"{"b64": "…"} or {"image_bytes": {"b64": "…"}}"#)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let (mut photo, mut settings) = (None, Map::new());
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "b64" => photo = Some(map.next_value::<Base64>()?),
                        signature::PHOTO => photo = Some(map.next_value::<Binary>()?.b64),
                        _ => drop(settings.insert(name, Value::Number(map.next_value()?))),
                    }
                }
                let photo = photo.ok_or_else(|| de::Error::missing_field(signature::PHOTO))?;
                Ok(Row { photo, settings })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Columns, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Columns;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str(r#"[{"b64": "…"}] or {"image_bytes": [{"b64": "…"}]}"#)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Columns, A::Error> {
                let list = de::value::SeqAccessDeserializer::new(list);
                Ok(Columns { photos: OneOrMany::<Binary>::deserialize(list)?.0, settings: vec![] })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let (mut photos, mut settings) = (None, vec![]);
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "b64" => photos = Some(vec![Binary { b64: map.next_value()? }]),
                        signature::PHOTO => photos = Some(map.next_value::<OneOrMany<Binary>>()?.0),
                        _ => settings.push((name, map.next_value::<OneOrMany<Number>>()?.0)),
                    }
                }
                let photos = photos.ok_or_else(|| de::Error::missing_field(signature::PHOTO))?;
                Ok(Columns { photos, settings })
            }
        }
        deserializer.deserialize_any(Fields)
    }
}

impl Columns {
    fn rows(self) -> Result<Vec<Row>, ServeError> {
        let count = self.photos.len();
        let settings = |row: usize| {
            let columns = self.settings.iter().map(|(name, values)| {
                let value = signature::of_row(name, values, row, count)?;
                Ok((name.clone(), Value::Number(value.clone())))
            });
            columns.collect::<Result<Map<String, Value>, ServeError>>()
        };
        let settings = (0..count).map(settings).collect::<Result<Vec<_>, _>>()?;
        let rows = self.photos.into_iter().zip(settings);
        Ok(rows.map(|(photo, settings)| Row { photo: photo.b64, settings }).collect())
    }
}

async fn predict(
    Path(call): Path<String>,
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<Json<Value>, ServeError> {
    let model = method(&call)?;
    answer(&app, &app.models.find(model, None)?, &body).await
}

async fn predict_by_version(
    Path((model, call)): Path<(String, String)>,
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<Json<Value>, ServeError> {
    let version = number(method(&call)?)?;
    answer(&app, &app.models.find(&model, Some(version))?, &body).await
}

/// What is before `:predict`.
fn method(call: &str) -> Result<&str, ServeError> {
    let no_method = || ServeError::NotFound(format!("POST to {call}:predict: the only method of this model"));
    call.strip_suffix(":predict").ok_or_else(no_method)
}

fn number(version: &str) -> Result<u64, ServeError> {
    version.parse().map_err(|_| ServeError::NotFound(format!("{version} is no version of a model")))
}

async fn answer(app: &App, served: &Arc<Served>, body: &[u8]) -> Result<Json<Value>, ServeError> {
    let request: Predict = serde_json::from_slice(body)
        .map_err(|error| ServeError::Malformed(format!("the body is not understood: {error}")))?;
    signature::check(&request.signature_name)?;
    let (rows, by_rows) = match (request.instances, request.inputs) {
        (Some(OneOrMany(rows)), None) => (rows, true),
        (None, Some(columns)) => (columns.rows()?, false),
        _ => return Err(ServeError::Malformed("send either instances or inputs".to_owned())),
    };
    let request = |row: Row| {
        let settings = settings::search(served.captioner.search_settings(), row.settings)?;
        Ok(Request::new(row.photo.0, settings))
    };
    let requests = rows.into_iter().map(request).collect::<Result<Vec<_>, ServeError>>()?;
    let answers = app.caption(served, requests).await?;
    let best = answers.iter().map(|answer| answer.captioned.best());
    Ok(Json(if by_rows {
        let rows =
            best.map(|best| json!({ "caption": best.caption, "log_probability": best.log_probability }));
        json!({ "predictions": rows.collect::<Vec<_>>() })
    } else {
        let (captions, scores): (Vec<_>, Vec<_>) =
            best.map(|best| (best.caption.as_str(), best.log_probability)).unzip();
        json!({ "outputs": { "caption": captions, "log_probability": scores } })
    }))
}

async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "models": [app.models.name()] }))
}

async fn status(Path(model): Path<String>, State(app): State<Arc<App>>) -> Result<Json<Value>, ServeError> {
    Ok(state(&model, &*app.models.find(&model, None)?))
}

async fn version_status(
    Path((model, version)): Path<(String, String)>,
    State(app): State<Arc<App>>,
) -> Result<Json<Value>, ServeError> {
    Ok(state(&model, &*app.models.find(&model, Some(number(&version)?))?))
}

/// TensorFlow Serving's answer, and KServe's beside it: the two share the address.
fn state(model: &str, served: &Served) -> Json<Value> {
    let status = json!({ "error_code": "OK", "error_message": "" });
    let version = json!({ "version": served.version.to_string(), "state": "AVAILABLE", "status": status });
    Json(json!({ "name": model, "ready": true, "model_version_status": [version] }))
}

async fn metadata(Path(model): Path<String>, State(app): State<Arc<App>>) -> Result<Json<Value>, ServeError> {
    Ok(described(&model, &*app.models.find(&model, None)?))
}

async fn version_metadata(
    Path((model, version)): Path<(String, String)>,
    State(app): State<Arc<App>>,
) -> Result<Json<Value>, ServeError> {
    Ok(described(&model, &*app.models.find(&model, Some(number(&version)?))?))
}

fn described(model: &str, served: &Served) -> Json<Value> {
    let tensors = |tensors: &[signature::Tensor]| -> Map<String, Value> {
        let shape = json!({ "dim": [{ "size": "-1", "name": "" }], "unknown_rank": false });
        let tensor = |tensor: &signature::Tensor| {
            let name = format!("{}:0", tensor.name);
            json!({ "dtype": tensor.kind.as_str_name(), "tensor_shape": shape, "name": name })
        };
        tensors.iter().map(|one| (one.name.to_owned(), tensor(one))).collect()
    };
    let signature = json!({
        "inputs": tensors(&signature::INPUTS),
        "outputs": tensors(&signature::OUTPUTS),
        "method_name": signature::METHOD,
    });
    Json(json!({
        "model_spec": { "name": model, "signature_name": "", "version": served.version.to_string() },
        "metadata": { "signature_def": { "signature_def": { (SIGNATURE): signature } } },
    }))
}
