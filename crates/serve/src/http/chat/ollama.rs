//! Ollama's API (<https://github.com/ollama/ollama/blob/main/docs/api.md>), as photo managers and homes speak it.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::json::{self, OneOrMany, Small};
use super::super::photo::Photo;
use super::super::route::{Route, get, post};
use super::wish::{Form, Options, Photos, Wish};
use crate::app::App;
use crate::error::ServeError;
use crate::models::Served;

/// What its root says, by which programs know that it is there.
pub(in super::super) const RUNNING: &str = "Ollama is running";
/// The version of the API that is spoken: programs ask for it before they send a schema or a photo.
const VERSION: &str = "0.12.6";
/// What a body looks like, for who sends another.
const SEND: &str = r#"{"model": "…", "images": ["…"]}, with the base64 of the photo's file"#;
const SEND_CHAT: &str =
    r#"{"model": "…", "messages": [{"role": "user", "images": ["…"]}]}, with the base64 of the photo's file"#;
const SEND_NAME: &str = r#"{"model": "…"}"#;
const LINES: &str = "application/x-ndjson";

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/version", async || Json(json!({ "version": VERSION }))),
        get("/api/tags", tags),
        get("/api/ps", loaded),
        post("/api/show", show),
        post("/api/pull", pull),
        post("/api/generate", generate),
        post("/api/chat", chat),
    ]
}

/// A name that stands alone in a body; older programs call it `name`.
#[derive(Deserialize)]
#[serde(expecting = "a request as an object")]
struct Named {
    #[serde(alias = "name")]
    model: String,
    stream: Option<bool>,
}

#[derive(Deserialize)]
#[serde(expecting = "a request as an object")]
struct Generate {
    model: String,
    images: Option<OneOrMany<Photo>>,
    stream: Option<bool>,
    format: Option<Small>,
    options: Option<Options>,
}

#[derive(Deserialize)]
#[serde(expecting = "a request as an object")]
struct Chat {
    model: String,
    messages: Option<OneOrMany<Message>>,
    stream: Option<bool>,
    format: Option<Small>,
    options: Option<Options>,
}

#[derive(Deserialize)]
#[serde(expecting = "a message as an object")]
struct Message {
    role: Option<String>,
    images: Option<OneOrMany<Photo>>,
}

/// A time as Ollama writes it (RFC 3339).
fn time(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn details() -> Value {
    json!({
        "parent_model": "",
        "format": "safetensors",
        "family": "captioning",
        "families": ["captioning"],
        "parameter_size": "",
        "quantization_level": "",
    })
}

/// What lists say of a model. The digest is ours (BLAKE3), of the same length as Ollama's.
fn listed(served: &Served) -> Value {
    let name = format!("{}:latest", served.name);
    json!({
        "name": name,
        "model": name,
        "modified_at": time(served.modified),
        "size": served.bytes,
        "digest": served.digest,
        "details": details(),
        "capabilities": ["completion", "vision"],
    })
}

async fn tags(State(app): State<Arc<App>>) -> Json<Value> {
    let models: Vec<Value> = app.models.all().map(|served| listed(&served)).collect();
    Json(json!({ "models": models }))
}

/// All are loaded, and stay.
async fn loaded(State(app): State<Arc<App>>) -> Json<Value> {
    let model = |served: Arc<Served>| {
        let mut model = listed(&served);
        model["expires_at"] = "9999-12-31T23:59:59Z".into();
        model["size_vram"] = 0.into();
        model
    };
    let models: Vec<Value> = app.models.all().map(model).collect();
    Json(json!({ "models": models }))
}

async fn show(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, ServeError> {
    let named: Named = json::read(&body, SEND_NAME)?;
    let served = app.models.tagged(&named.model)?;
    let settings = served.captioner.search_settings();
    Ok(Json(json!({
        "modelfile": "",
        "template": "",
        "parameters": format!("num_predict {}", settings.max_length),
        "details": details(),
        "model_info": { "general.architecture": "captioning", "general.basename": &*served.name },
        "capabilities": ["completion", "vision"],
        "modified_at": time(served.modified),
    })))
}

/// Nothing is fetched: who asks for a model that is here is told that it is.
async fn pull(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, ServeError> {
    let named: Named = json::read(&body, SEND_NAME)?;
    app.models.tagged(&named.model)?;
    let success = json!({ "status": "success" });
    Ok(match named.stream {
        Some(false) => Json(success).into_response(),
        _ => lines(&[json!({ "status": "pulling manifest" }), success]),
    })
}

async fn generate(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, ServeError> {
    let Generate { model, images, stream, format, options } = json::read(&body, SEND)?;
    let message = |text: &str| json!({ "response": text });
    // Without a photo a model is only to be made ready.
    let photos = images.map(|images| images.all).filter(|images| !images.is_empty());
    let photos = photos.map(|photos| photos.into_iter().map(|photo| photo.0).collect());
    answer(&app, &model, photos, (format, options, stream), message).await
}

async fn chat(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, ServeError> {
    let Chat { model, messages, stream, format, options } = json::read(&body, SEND_CHAT)?;
    let messages = messages.map(|messages| messages.all).filter(|messages| !messages.is_empty());
    let photos = messages.map(|messages| {
        let mut photos = Photos::default();
        for Message { role, images } in messages {
            let images = images.into_iter().flat_map(|images| images.all);
            photos.add(role.as_deref(), images.map(|image| image.0));
        }
        photos.all()
    });
    let message = |text: &str| json!({ "message": { "role": "assistant", "content": text } });
    answer(&app, &model, photos, (format, options, stream), message).await
}

/// One object, or a line for each word and a last one with `done`; `message` is how an API says a text. Without photos
/// there is nothing to say, and the model is ready.
async fn answer(
    app: &App,
    model: &str,
    photos: Option<Vec<Bytes>>,
    (format, options, stream): (Option<Small>, Option<Options>, Option<bool>),
    message: impl Fn(&str) -> Value,
) -> Result<Response, ServeError> {
    let began = Instant::now();
    let served = app.models.tagged(model)?;
    let part = |text: &str, done: bool| {
        let mut part = message(text);
        part["model"] = model.into();
        part["created_at"] = time(SystemTime::now()).into();
        part["done"] = done.into();
        part
    };
    let Some(photos) = photos else {
        let mut ready = part("", true);
        ready["done_reason"] = "load".into();
        return Ok(Json(ready).into_response());
    };
    let form = Form::of_ollama(format)?;
    let wish = Wish { photos, options: options.unwrap_or_default(), form, count: 1 };
    let reply = wish.grant(app, &served).await?;
    let said = &reply.said[0];
    let nanoseconds = |milliseconds: f64| (milliseconds * 1e6) as u64;
    let finish = |mut last: Value| {
        last["done_reason"] = if said.cut { "length" } else { "stop" }.into();
        last["total_duration"] = (began.elapsed().as_nanos() as u64).into();
        last["load_duration"] = nanoseconds(reply.timing.queue).into();
        last["prompt_eval_count"] = reply.regions.into();
        last["prompt_eval_duration"] = nanoseconds(reply.timing.decode + reply.timing.features).into();
        last["eval_count"] = reply.words.into();
        last["eval_duration"] = nanoseconds(reply.timing.search).into();
        last
    };
    Ok(match stream {
        Some(false) => Json(finish(part(&said.text, true))).into_response(),
        _ => {
            let mut parts: Vec<Value> = said.pieces().map(|piece| part(piece, false)).collect();
            parts.push(finish(part("", true)));
            lines(&parts)
        }
    })
}

fn lines(parts: &[Value]) -> Response {
    let text: String = parts.iter().map(|part| format!("{part}\n")).collect();
    ([(header::CONTENT_TYPE, LINES)], text).into_response()
}
