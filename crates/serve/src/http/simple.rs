//! Protocols of a photo in a body: form uploads as Flask apps take them, Hugging Face image-to-text, TorchServe.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use caption::Caption;
use serde_json::{Value, json};

use super::address::{Address, Client, number};
use super::own::when;
use super::route::{Route, get, post, put};
use super::upload::{Shape, Upload};
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
        put("/predictions/{model}", predictions),
        post("/predictions/{model}/{version}", predictions_of_version),
        put("/predictions/{model}/{version}", predictions_of_version),
    ]
}

/// For machines that watch the server.
pub(super) fn health() -> Vec<Route> {
    vec![get("/ping", ping)]
}

async fn best(app: &App, served: &Arc<Served>, upload: Upload) -> Result<Vec<Caption>, ServeError> {
    let settings = settings::search(served.captioner.search_settings(), upload.settings)?;
    let requests = upload.photos.into_iter().map(|photo| Request::new(photo, settings.clone())).collect();
    let answers = app.caption(served, requests).await?;
    Ok(answers.into_iter().map(|mut answer| answer.captioned.captions.swap_remove(0)).collect())
}

/// Captions in the shape in which their photos came.
fn shaped(shape: Shape, captions: &[Caption], show: impl Fn(&Caption) -> Value) -> Value {
    let mut all: Vec<Value> = captions.iter().map(show).collect();
    match shape {
        Shape::One => all.swap_remove(0),
        Shape::List => all.into(),
        Shape::Instances => json!({ "predictions": all }),
    }
}

fn plain(caption: &Caption) -> Value {
    json!({ "caption": caption.caption, "log_probability": caption.log_probability })
}

async fn ping(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let ready = app.health().ready;
    (when(ready), Json(json!({ "status": if ready { "Healthy" } else { "Unhealthy" } })))
}

async fn described(app: &App, served: &Arc<Served>, upload: Upload) -> Result<Json<Value>, ServeError> {
    let shape = upload.shape;
    Ok(Json(shaped(shape, &best(app, served, upload).await?, plain)))
}

async fn predict(State(app): State<Arc<App>>, mut upload: Upload) -> Result<Json<Value>, ServeError> {
    let served = upload.model(&app.models)?;
    described(&app, &served, upload).await
}

/// A list for each photo, as the pipeline of `transformers` answers; newer clients for JavaScript want what is in it.
async fn generate(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    mut upload: Upload,
) -> Result<Json<Value>, ServeError> {
    let served = upload.model(&app.models)?;
    generated(&app, &served, &headers, upload).await
}

async fn generated(
    app: &App,
    served: &Arc<Served>,
    headers: &HeaderMap,
    upload: Upload,
) -> Result<Json<Value>, ServeError> {
    let (shape, alone) = (upload.shape, Client::of(headers) == Client::HuggingFaceObject);
    let captions = best(app, served, upload).await?;
    Ok(Json(shaped(shape, &captions, |caption| {
        let text = json!({ "generated_text": caption.caption });
        if alone { text } else { json!([text]) }
    })))
}

async fn generate_by(
    Address(model): Address<String>,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    upload: Upload,
) -> Result<Json<Value>, ServeError> {
    generated(&app, &app.models.find(&model, None)?, &headers, upload).await
}

async fn predictions(
    Address(model): Address<String>,
    State(app): State<Arc<App>>,
    upload: Upload,
) -> Result<Json<Value>, ServeError> {
    described(&app, &app.models.find(&model, None)?, upload).await
}

/// TorchServe's versions are written `1.0`.
async fn predictions_of_version(
    Address((model, version)): Address<(String, String)>,
    State(app): State<Arc<App>>,
    upload: Upload,
) -> Result<Json<Value>, ServeError> {
    let version = number(version.strip_suffix(".0").unwrap_or(&version))?;
    described(&app, &app.models.find(&model, Some(version))?, upload).await
}
