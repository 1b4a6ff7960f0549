//! The REST API of TensorFlow Serving, which KServe's v1 protocol repeats.
//!
//! <https://www.tensorflow.org/tfx/serving/api_rest>

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, json};

use super::address::{Address, Client, Which};
use super::chat;
use super::json::{self, OneOrMany};
use super::photo::{Binary, NO_PIXELS, Photo};
use super::route::{Route, get, post};
use crate::app::App;
use crate::engine::Request;
use crate::error::ServeError;
use crate::models::Served;
use crate::settings;
use crate::signature::{self, SIGNATURE};

/// What a body of `:predict` looks like, for who sends another.
const SEND: &str = r#"{"instances": [{"b64": "…"}]}, with the base64 of the photo's file"#;

/// The last name of a path ends in `:predict` where a photo is posted: the router knows no such endings.
pub(super) fn routes() -> Vec<Route> {
    let versions = ["", "/versions/{version}", "/labels/{label}"];
    let model = |version: &str| {
        let path = format!("/v1/models/{{model}}{version}");
        [get(path.clone(), status), post(path.clone(), predict), get(path + "/metadata", metadata)]
    };
    [get("/v1/models", list)].into_iter().chain(versions.into_iter().flat_map(model)).collect()
}

/// The methods of an address, where the router knows more: it does not see whether one ends in `:predict`.
pub(super) fn allowed(path: &str) -> Option<&'static str> {
    let allowed = if path.ends_with(":predict") { "POST" } else { "GET,HEAD" };
    path.starts_with("/v1/models/").then_some(allowed)
}

/// A body of `:predict`: `instances` by rows, or `inputs` by columns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a request as an object")]
struct Predict {
    #[serde(default)]
    signature_name: String,
    instances: Option<OneOrMany<Row>>,
    inputs: Option<Columns>,
}

/// A photo, `{"b64": "…"}` or `{"image_bytes": {"b64": "…"}, "beam_size": 3}`.
struct Row {
    photo: Bytes,
    /// A client's own name for the row, which its answer carries.
    key: Option<String>,
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
                formatter.write_str(r#"a row as {"b64": "…"} or {"image_bytes": {"b64": "…"}}"#)
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Row, E> {
                Err(E::custom(r#"the row is a bare string: put its base64 into {"b64": "…"}"#))
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Row, E> {
                Err(E::custom(NO_PIXELS))
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Row, E> {
                Err(E::custom(NO_PIXELS))
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Row, E> {
                Err(E::custom(NO_PIXELS))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let (mut photo, mut key, mut settings) = (None, None, Map::new());
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "key" => key = Some(map.next_value()?),
                        "b64" => photo = Some(map.next_value::<Photo>()?.0),
                        signature::PHOTO | "image" => photo = Some(map.next_value::<Binary>()?.0),
                        // What KServe's clients of TorchServe send.
                        "data" | "body" => photo = Some(map.next_value::<Photo>()?.0),
                        _ => {
                            signature::check_input(&name).map_err(de::Error::custom)?;
                            let number = map.next_value().map_err(|error| in_input(&name, &error))?;
                            settings.insert(name, Value::Number(number));
                        }
                    }
                }
                let photo = photo.ok_or_else(|| de::Error::custom("there is no photo in the row"))?;
                Ok(Row { photo, key, settings })
            }
        }
        deserializer.deserialize_any(Fields)
    }
}

fn in_input<E: de::Error>(name: &str, error: &E) -> E {
    E::custom(format_args!("{name}: {error}"))
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Columns, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Columns;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str(r#"columns as [{"b64": "…"}] or {"image_bytes": [{"b64": "…"}]}"#)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Columns, A::Error> {
                let list = de::value::SeqAccessDeserializer::new(list);
                Ok(Columns { photos: OneOrMany::<Binary>::deserialize(list)?.all, settings: vec![] })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let (mut photos, mut settings) = (None, vec![]);
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "b64" => photos = Some(vec![Binary(map.next_value::<Photo>()?.0)]),
                        signature::PHOTO | "image" => {
                            photos = Some(map.next_value::<OneOrMany<Binary>>()?.all)
                        }
                        _ => {
                            signature::check_input(&name).map_err(de::Error::custom)?;
                            let values = map.next_value::<OneOrMany<Number>>();
                            let values = values.map_err(|error| in_input(&name, &error))?;
                            settings.push((name, values.all));
                        }
                    }
                }
                let photos = photos.ok_or_else(|| de::Error::custom("there is no photo in the inputs"))?;
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
        Ok(rows.map(|(photo, settings)| Row { photo: photo.0, key: None, settings }).collect())
    }
}

async fn predict(
    Address(which): Address<Which>,
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<Json<Value>, ServeError> {
    answer(&app, &which.before(":predict")?.find(&app)?, &body).await
}

async fn answer(app: &App, served: &Arc<Served>, body: &[u8]) -> Result<Json<Value>, ServeError> {
    let request: Predict = json::read(body, SEND)?;
    signature::check(&request.signature_name)?;
    let (mut rows, by_rows) = match (request.instances, request.inputs) {
        (Some(rows), None) => (rows.all, true),
        (None, Some(columns)) => (columns.rows()?, false),
        _ => return Err(ServeError::Malformed(format!("send either instances or inputs: {SEND}"))),
    };
    let many = rows.len() > 1;
    let keys: Vec<Option<String>> = rows.iter_mut().map(|row| row.key.take()).collect();
    let request = |(index, row): (usize, Row)| {
        let settings = settings::search(served.captioner.search_settings(), row.settings);
        let settings = settings.map_err(|error| if many { error.at(index) } else { error })?;
        Ok(Request::new(row.photo, settings))
    };
    let requests = rows.into_iter().enumerate().map(request).collect::<Result<Vec<_>, ServeError>>()?;
    let answers = app.caption(served, requests).await?;
    let best = answers.iter().map(|answer| answer.captioned.best());
    Ok(Json(if by_rows {
        let rows = best.zip(keys).map(|(best, key)| {
            let mut row = json!({ "caption": best.caption, "log_probability": best.log_probability });
            if let Some(key) = key {
                row["key"] = key.into();
            }
            row
        });
        json!({ "predictions": rows.collect::<Vec<_>>() })
    } else {
        let (captions, scores): (Vec<_>, Vec<_>) =
            best.map(|best| (best.caption.as_str(), best.log_probability)).unzip();
        json!({ "outputs": { "caption": captions, "log_probability": scores } })
    }))
}

/// The models as KServe lists them, and as OpenAI's clients do: the two share the address.
async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let (mut names, mut models) = (vec![], vec![]);
    for served in app.models.all() {
        names.push(served.name.to_string());
        models.push(chat::model(&served));
    }
    Json(json!({ "models": names, "object": "list", "data": models }))
}

/// TensorFlow Serving's answer, whose own readers take no other fields; KServe's client gets its own beside it, and OpenAI's
/// the model as their list has it.
async fn status(
    Address(which): Address<Which>,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ServeError> {
    let served = which.find(&app)?;
    let status = json!({ "error_code": "OK", "error_message": "" });
    let version = json!({ "version": served.version.to_string(), "state": "AVAILABLE", "status": status });
    let mut answer = json!({ "model_version_status": [version] });
    match Client::of(&headers) {
        Client::Kserve => {
            answer["name"] = which.model.into();
            answer["ready"] = app.health().ready.into();
        }
        Client::OpenAi => answer = chat::model(&served),
        _ => {}
    }
    Ok(Json(answer))
}

async fn metadata(
    Address(which): Address<Which>,
    State(app): State<Arc<App>>,
) -> Result<Json<Value>, ServeError> {
    let served = which.find(&app)?;
    Ok(described(&which.model, &served))
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
