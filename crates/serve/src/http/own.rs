//! Our own API, which says all that is known about a photo; health and metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use caption::{Captioned, Keyword};
use serde::Serialize;
use serde_json::{Value, json};

use super::route::{Route, get, post};
use super::upload::Upload;
use crate::app::{App, Health};
use crate::engine::{Request, Timing};
use crate::error::ServeError;
use crate::models::Served;
use crate::settings;

/// Keywords in an answer unless a request says otherwise.
const KEYWORDS: usize = 5;
const MAX_KEYWORDS: usize = 1000;

pub(super) fn routes() -> Vec<Route> {
    vec![post("/caption", caption)]
}

pub(super) fn health() -> Vec<Route> {
    vec![
        get("/healthz", healthy),
        get("/health", healthy),
        get("/readyz", healthy),
        get("/livez", async || Json(json!({ "status": "ok" }))),
        get("/metrics", metrics),
    ]
}

/// What `/caption` says.
#[derive(Serialize)]
struct Answered {
    model: Model,
    /// The best one, for those who want no more.
    caption: String,
    #[serde(flatten)]
    captioned: Captioned,
    /// Of a model that names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    keywords: Option<Vec<Keyword>>,
    milliseconds: Timing,
}

#[derive(Serialize)]
struct Model {
    name: String,
    version: u64,
}

async fn caption(State(app): State<Arc<App>>, mut upload: Upload) -> Result<Json<Answered>, ServeError> {
    let top_k = upload.take::<usize>("top_k", "a whole number")?;
    let attention = upload.take::<bool>("attention", "true or false")?.unwrap_or(true);
    if top_k == Some(0) {
        return Err(ServeError::Malformed("top_k must be at least 1".to_owned()));
    }
    let keywords = upload.take::<usize>("keywords", "a whole number")?.unwrap_or(KEYWORDS).min(MAX_KEYWORDS);
    let served = upload.model(&app.models)?;
    let settings = settings::search(served.captioner.search_settings(), upload.settings)?;
    let [photo] = <[_; 1]>::try_from(upload.photos).map_err(|photos| {
        ServeError::Malformed(format!("/caption takes one photo at a time, not {}", photos.len()))
    })?;
    let mut answers =
        app.caption(&served, vec![Request { keywords, ..Request::new(photo, settings) }]).await?;
    let answer = answers.swap_remove(0);
    let mut captioned = answer.captioned;
    captioned.captions.truncate(top_k.unwrap_or(usize::MAX));
    if !attention {
        let words = captioned.captions.iter_mut().flat_map(|caption| &mut caption.words);
        words.for_each(|word| word.attention = None);
    }
    let model = Model { name: served.name.to_string(), version: served.version };
    let keywords = (served.captioner.names_keywords() && keywords > 0).then_some(answer.keywords);
    let caption = captioned.best().caption.clone();
    Ok(Json(Answered { model, caption, captioned, keywords, milliseconds: answer.timing }))
}

/// 503 while no photo can be captioned; 200 with the problems while only the next model cannot.
async fn healthy(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let Health { ready, problems } = app.health();
    let status = match (ready, problems.is_empty()) {
        (true, true) => "ok",
        (true, false) => "degraded",
        (false, _) => "failing",
    };
    let model = |served: Arc<Served>| json!({ "name": &*served.name, "version": served.version });
    let models: Vec<Value> = app.models.all().map(model).collect();
    let answer = json!({ "status": status, "model": models[0], "models": models, "problems": problems });
    (when(ready), Json(answer))
}

/// The status of an answer about readiness.
pub(super) fn when(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn metrics(State(app): State<Arc<App>>) -> Result<String, ServeError> {
    app.metrics.text()
}
