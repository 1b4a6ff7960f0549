//! What Triton adds to the Open Inference Protocol: configuration, statistics, the index of models.
//!
//! <https://github.com/triton-inference-server/server/tree/main/docs/protocol>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::address::{Address, Which};
use super::route::{Route, get, post};
use crate::app::App;
use crate::error::ServeError;
use crate::models::Served;

/// Extensions of the protocol that are spoken.
pub(super) const EXTENSIONS: [&str; 4] =
    ["binary_tensor_data", "model_configuration", "model_repository", "statistics"];
/// Parameters of a request that change no caption: outputs come as JSON and in the order of arrival.
pub(super) const HINTS: [&str; 8] = [
    "binary_data_output",
    "priority",
    "timeout",
    "sequence_id",
    "sequence_start",
    "sequence_end",
    // MLServer's.
    "content_type",
    "headers",
];

pub(super) fn routes() -> Vec<Route> {
    let model = |version: &str| {
        let path = |end: &str| format!("/v2/models/{{model}}{version}{end}");
        [get(path("/config"), config), get(path("/stats"), statistics)]
    };
    let models = ["", "/versions/{version}"].into_iter().flat_map(model);
    [get("/v2/models/stats", all_statistics), post("/v2/repository/index", index)]
        .into_iter()
        .chain(models)
        .collect()
}

async fn config(
    Address(which): Address<Which>,
    State(app): State<Arc<App>>,
) -> Result<Json<Value>, ServeError> {
    which.find(&app)?;
    let tensor = |name: &str, kind: &str| json!({ "name": name, "data_type": kind, "dims": [-1] });
    Ok(Json(json!({
        "name": which.model,
        "platform": "captioning",
        "backend": "",
        "max_batch_size": 0,
        "version_policy": { "latest": { "num_versions": 1 } },
        "input": [tensor("image", "TYPE_STRING")],
        "output": [tensor("caption", "TYPE_STRING"), tensor("log_probability", "TYPE_FP64")],
    })))
}

async fn statistics(
    Address(which): Address<Which>,
    State(app): State<Arc<App>>,
) -> Result<Json<Value>, ServeError> {
    let served = which.find(&app)?;
    Ok(Json(json!({ "model_stats": [counted(&app, &served)] })))
}

async fn all_statistics(State(app): State<Arc<App>>) -> Json<Value> {
    let all: Vec<Value> = app.models.all().map(|served| counted(&app, &served)).collect();
    Json(json!({ "model_stats": all }))
}

/// Photos and batches since the server began, by whatever protocol they came.
fn counted(app: &App, served: &Served) -> Value {
    let batches = app.metrics.batch_photos.with_label_values(&[&served.name]);
    let phase = |name: &str| {
        let times = app.metrics.phase_seconds.with_label_values(&[&*served.name, name]);
        json!({ "count": times.get_sample_count(), "ns": (times.get_sample_sum() * 1e9) as u64 })
    };
    json!({
        "name": &*served.name,
        "version": served.version.to_string(),
        "inference_count": batches.get_sample_sum() as u64,
        "execution_count": batches.get_sample_count(),
        "inference_stats": {
            "queue": phase("queue"),
            "compute_input": phase("decode"),
            "compute_infer": phase("features"),
            "compute_output": phase("search"),
        },
        "batch_stats": [],
    })
}

async fn index(State(app): State<Arc<App>>) -> Json<Value> {
    let state = if app.health().ready { "READY" } else { "UNAVAILABLE" };
    let row = |served: Arc<Served>| {
        let version = served.version.to_string();
        json!({ "name": &*served.name, "version": version, "state": state, "reason": "" })
    };
    Json(app.models.all().map(row).collect())
}
