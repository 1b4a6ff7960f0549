//! Protocols of one photo per request: form uploads as Flask apps take them, Hugging Face image-to-text, TorchServe.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use caption::Caption;
use serde_json::{Value, json};

use super::own::when;
use super::route::{Route, get, post};
use super::upload::Upload;
use crate::app::App;
use crate::engine::Request;
use crate::error::ServeError;
use crate::models::Served;
use crate::settings;

pub(super) fn routes() -> Vec<Route> {
    vec![
        post("/predict", predict),
        post("/", generate),
        post("/models/{*model}", generate_by),
        post("/predictions/{model}", predictions),
        post("/predictions/{model}/{version}", predictions_of_version),
        get("/ping", ping),
    ]
}

async fn best(app: &App, served: &Arc<Served>, upload: Upload) -> Result<Caption, ServeError> {
    let settings = settings::search(served.captioner.search_settings(), upload.settings)?;
    let mut answers = app.caption(served, vec![Request::new(upload.photo, settings)]).await?;
    Ok(answers.swap_remove(0).captioned.captions.swap_remove(0))
}

fn plain(caption: &Caption) -> Json<Value> {
    Json(json!({ "caption": caption.caption, "log_probability": caption.log_probability }))
}

async fn ping(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let ready = app.health().ready;
    (when(ready), Json(json!({ "status": if ready { "Healthy" } else { "Unhealthy" } })))
}

async fn predict(State(app): State<Arc<App>>, upload: Upload) -> Result<Json<Value>, ServeError> {
    Ok(plain(&best(&app, &app.models.served(), upload).await?))
}

async fn generate(State(app): State<Arc<App>>, upload: Upload) -> Result<Json<Value>, ServeError> {
    let caption = best(&app, &app.models.served(), upload).await?;
    Ok(Json(json!([{ "generated_text": caption.caption }])))
}

/// Names of models have a slash there: `organisation/model`.
async fn generate_by(
    Path(model): Path<String>,
    state: State<Arc<App>>,
    upload: Upload,
) -> Result<Json<Value>, ServeError> {
    state.models.find(&model, None)?;
    generate(state, upload).await
}

async fn predictions(
    Path(model): Path<String>,
    State(app): State<Arc<App>>,
    upload: Upload,
) -> Result<Json<Value>, ServeError> {
    Ok(plain(&best(&app, &app.models.find(&model, None)?, upload).await?))
}

/// TorchServe's versions are written `1.0`.
async fn predictions_of_version(
    Path((model, version)): Path<(String, String)>,
    State(app): State<Arc<App>>,
    upload: Upload,
) -> Result<Json<Value>, ServeError> {
    let number = version.strip_suffix(".0").unwrap_or(&version).parse();
    let number = number.map_err(|_| ServeError::NotFound(format!("{version} is no version of a model")))?;
    Ok(plain(&best(&app, &app.models.find(&model, Some(number))?, upload).await?))
}
