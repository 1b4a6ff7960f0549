//! What Triton adds to the Open Inference Protocol: configuration, statistics, the index of models.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::address::{Address, Which};
use super::route::{Route, get, post};
use crate::app::App;
use crate::error::ServeError;
use crate::inference;
use crate::proto::inference::repository_index_response::ModelIndex;
use crate::proto::inference::{ModelConfig, ModelStatisticsResponse};

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
) -> Result<Json<ModelConfig>, ServeError> {
    let served = which.find(&app)?;
    Ok(Json(inference::config(&served)))
}

async fn statistics(
    Address(which): Address<Which>,
    State(app): State<Arc<App>>,
) -> Result<Json<ModelStatisticsResponse>, ServeError> {
    Ok(Json(inference::statistics(&app, &[which.find(&app)?])))
}

async fn all_statistics(State(app): State<Arc<App>>) -> Json<ModelStatisticsResponse> {
    Json(inference::statistics(&app, &app.models.all().collect::<Vec<_>>()))
}

async fn index(State(app): State<Arc<App>>) -> Json<Vec<ModelIndex>> {
    Json(inference::index(&app).models)
}
