//! The server and its models, as the messages of gRPC say it; HTTP writes these messages as JSON.

use std::sync::Arc;

use super::{ANY, BYTES, FP64};
use crate::app::App;
use crate::models::Served;
use crate::proto::inference::model_metadata_response::TensorMetadata;
use crate::proto::inference::model_version_policy::Latest;
use crate::proto::inference::repository_index_response::ModelIndex;
use crate::proto::inference::{
    DataType, InferStatistics, ModelConfig, ModelInput, ModelMetadataResponse, ModelOutput, ModelStatistics,
    ModelStatisticsResponse, ModelVersionPolicy, RepositoryIndexResponse, ServerMetadataResponse,
    StatisticDuration,
};
use crate::signature::OUTPUTS;

/// Extensions of the protocol that are spoken.
const EXTENSIONS: [&str; 4] = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"];
/// What runs the model, for who reads it.
const PLATFORM: &str = "captioning";
/// An input or output of shape `[-1]`: a value per photo.
struct Tensor {
    name: &'static str,
    datatype: &'static str,
    /// The datatype in Triton's configuration.
    kind: DataType,
}

const PHOTO: Tensor = Tensor { name: "image", datatype: BYTES, kind: DataType::TypeString };
const ANSWERS: [Tensor; 2] = [
    Tensor { name: OUTPUTS[0].name, datatype: BYTES, kind: DataType::TypeString },
    Tensor { name: OUTPUTS[1].name, datatype: FP64, kind: DataType::TypeFp64 },
];
/// The server itself.
pub(crate) fn server() -> ServerMetadataResponse {
    ServerMetadataResponse {
        name: "caption-serve".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    }
}

/// Inputs and outputs of a model.
pub(crate) fn metadata(served: &Served) -> ModelMetadataResponse {
    let tensor = |tensor: &Tensor| TensorMetadata {
        name: tensor.name.to_owned(),
        datatype: tensor.datatype.to_owned(),
        shape: vec![ANY],
    };
    ModelMetadataResponse {
        name: served.name.to_string(),
        versions: vec![served.version.to_string()],
        platform: PLATFORM.to_owned(),
        inputs: vec![tensor(&PHOTO)],
        outputs: ANSWERS.iter().map(tensor).collect(),
    }
}

/// The same as Triton's configuration.
pub(crate) fn config(served: &Served) -> ModelConfig {
    let input = |Tensor { name, kind, .. }: Tensor| ModelInput {
        name: name.to_owned(),
        data_type: kind.into(),
        dims: vec![ANY],
    };
    let output = |Tensor { name, kind, .. }: Tensor| ModelOutput {
        name: name.to_owned(),
        data_type: kind.into(),
        dims: vec![ANY],
    };
    ModelConfig {
        name: served.name.to_string(),
        platform: PLATFORM.to_owned(),
        backend: String::new(),
        version_policy: Some(ModelVersionPolicy { latest: Some(Latest { num_versions: 1 }) }),
        max_batch_size: 0,
        input: vec![input(PHOTO)],
        output: ANSWERS.map(output).to_vec(),
    }
}

/// Photos and batches of models since the server began, by whatever protocol they came.
pub(crate) fn statistics(app: &App, models: &[Arc<Served>]) -> ModelStatisticsResponse {
    ModelStatisticsResponse { model_stats: models.iter().map(|served| counted(app, served)).collect() }
}

fn counted(app: &App, served: &Served) -> ModelStatistics {
    let batches = app.metrics.batch_photos.with_label_values(&[&served.name]);
    let phase = |name: &str| {
        let times = app.metrics.phase_seconds.with_label_values(&[&*served.name, name]);
        let ns = (times.get_sample_sum() * 1e9) as u64;
        Some(StatisticDuration { count: times.get_sample_count(), ns })
    };
    ModelStatistics {
        name: served.name.to_string(),
        version: served.version.to_string(),
        inference_count: batches.get_sample_sum() as u64,
        execution_count: batches.get_sample_count(),
        inference_stats: Some(InferStatistics {
            queue: phase("queue"),
            compute_input: phase("decode"),
            compute_infer: phase("features"),
            compute_output: phase("search"),
        }),
        batch_stats: vec![],
    }
}

/// Triton's list of the models.
pub(crate) fn index(app: &App) -> RepositoryIndexResponse {
    let state = if app.health().ready { "READY" } else { "UNAVAILABLE" };
    let row = |served: Arc<Served>| ModelIndex {
        name: served.name.to_string(),
        version: served.version.to_string(),
        state: state.to_owned(),
        reason: String::new(),
    };
    RepositoryIndexResponse { models: app.models.all().map(row).collect() }
}
