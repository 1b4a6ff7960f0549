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
    which.find(&app)?;
    Ok(counted(&app))
}

async fn all_statistics(State(app): State<Arc<App>>) -> Json<Value> {
    counted(&app)
}

/// Photos and batches since the server began, by whatever protocol they came.
fn counted(app: &App) -> Json<Value> {
    let photos = app.metrics.batch_photos.get_sample_sum() as u64;
    let phase = |name: &str| {
        let times = app.metrics.phase_seconds.with_label_values(&[name]);
        json!({ "count": times.get_sample_count(), "ns": (times.get_sample_sum() * 1e9) as u64 })
    };
    Json(json!({ "model_stats": [{
        "name": app.models.name(),
        "version": app.models.served().version.to_string(),
        "inference_count": photos,
        "execution_count": app.metrics.batch_photos.get_sample_count(),
        "inference_stats": {
            "queue": phase("queue"),
            "compute_input": phase("decode"),
            "compute_infer": phase("features"),
            "compute_output": phase("search"),
        },
        "batch_stats": [],
    }] }))
}

async fn index(State(app): State<Arc<App>>) -> Json<Value> {
    let (ready, version) = (app.health().ready, app.models.served().version.to_string());
    let state = if ready { "READY" } else { "UNAVAILABLE" };
    Json(json!([{ "name": app.models.name(), "version": version, "state": state, "reason": "" }]))
}
