//! `inference.GRPCInferenceService`: the Open Inference Protocol, and what Triton's clients ask beside it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use serde_json::Value;
use tonic::{Request, Response, Status, async_trait};

use super::ENVELOPE;
use super::services::Services;
use crate::app::App;
use crate::error::ServeError;
use crate::inference::{self, Output, Values};
use crate::models::Served;
use crate::proto::inference::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use crate::proto::inference::infer_parameter::ParameterChoice;
use crate::proto::inference::model_infer_request::InferInputTensor;
use crate::proto::inference::model_infer_response::InferOutputTensor;
use crate::proto::inference::{
    InferParameter, InferTensorContents, ModelConfigRequest, ModelConfigResponse, ModelInferRequest,
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ModelStatisticsRequest, ModelStatisticsResponse, RepositoryIndexRequest, RepositoryIndexResponse,
    ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse,
};
use crate::settings::value_of;
use crate::signature;

/// The calls, as the log and the metrics name them: those that are open to all who watch the server, as over HTTP, and
/// the others.
const OPEN: [&str; 2] = ["GRPCInferenceService.ServerLive", "GRPCInferenceService.ServerReady"];
const CLOSED: [&str; 7] = [
    "GRPCInferenceService.ModelReady",
    "GRPCInferenceService.ServerMetadata",
    "GRPCInferenceService.ModelMetadata",
    "GRPCInferenceService.ModelInfer",
    "GRPCInferenceService.ModelConfig",
    "GRPCInferenceService.ModelStatistics",
    "GRPCInferenceService.RepositoryIndex",
];

/// The name of the call at a path, if it is one of these.
pub(super) fn call(path: &str) -> Option<&'static str> {
    let call = path.strip_prefix("/inference.")?;
    let mut all = OPEN.into_iter().chain(CLOSED);
    all.find(|name| name.split_once('.') == call.split_once('/'))
}

/// The calls for those who have the token, with messages as long as photos are.
pub(super) fn closed(services: &Services) -> Router {
    router(&CLOSED, services, services.app.max_body + ENVELOPE)
}

/// The others, which nobody reads ahead of: their messages are short.
pub(super) fn open(services: &Services) -> Router {
    router(&OPEN, services, ENVELOPE)
}

fn router(calls: &[&str], services: &Services, longest: usize) -> Router {
    let service = GrpcInferenceServiceServer::new(services.clone()).max_decoding_message_size(longest);
    let path = |call: &&str| format!("/inference.{}", call.replace('.', "/"));
    calls.iter().map(path).fold(Router::new(), |router, path| router.route_service(&path, service.clone()))
}

/// The model that a request means; no version is the newest.
fn find(app: &App, name: &str, version: &str) -> Result<Arc<Served>, ServeError> {
    let version = (!version.is_empty()).then(|| inference::version(version)).transpose()?;
    app.models.find(name, version)
}

async fn infer(app: &App, request: ModelInferRequest) -> Result<ModelInferResponse, ServeError> {
    let served = find(app, &request.model_name, &request.model_version)?;
    for output in &request.outputs {
        signature::check_output(&output.name)?;
        output.parameters.keys().try_for_each(|name| inference::check_parameter(name))?;
    }
    let raw = !request.raw_input_contents.is_empty();
    let photos = photos(request.inputs, &request.raw_input_contents)?;
    let parameters = request.parameters.into_iter().map(|(name, parameter)| (name, value(parameter)));
    let outputs = inference::caption(app, &served, photos, parameters.collect()).await?;
    let wanted = |output: &Output| {
        request.outputs.is_empty() || request.outputs.iter().any(|wanted| wanted.name == output.name)
    };
    let mut answer = ModelInferResponse {
        model_name: request.model_name,
        model_version: served.version.to_string(),
        id: request.id,
        ..Default::default()
    };
    // As the photos came: Triton's client sends and reads raw contents alone, for `as_numpy` knows no typed numbers;
    // programs with stubs of their own, KServe's and MLServer's clients read what they send. OpenVINO's server does it so.
    for Output { name, values } in outputs.into_iter().filter(wanted) {
        if raw {
            answer.raw_output_contents.push(values.raw().into());
        }
        let (datatype, shape) = (values.datatype().to_owned(), vec![values.len() as i64]);
        let contents = (!raw).then(|| contents(values));
        answer.outputs.push(InferOutputTensor { name: name.to_owned(), datatype, shape, contents });
    }
    Ok(answer)
}

/// The photos of the only input, from its own contents or from the raw ones.
fn photos(inputs: Vec<InferInputTensor>, raw: &[Bytes]) -> Result<Vec<Bytes>, ServeError> {
    let malformed = |error: String| Err(ServeError::Malformed(error));
    let input = inference::only(inputs)?;
    input.parameters.keys().try_for_each(|name| inference::check_parameter(name))?;
    inference::check_datatype(&input.name, &input.datatype, "in raw_input_contents or bytes_contents")?;
    let typed = input.contents.unwrap_or_default().bytes_contents;
    let photos = match raw {
        [] => typed,
        [raw] if typed.is_empty() => inference::elements(raw.clone())?,
        [_] => {
            return malformed(
                "the photos are in raw_input_contents or in bytes_contents, not in both".to_owned(),
            );
        }
        many => {
            return malformed(format!(
                "raw_input_contents has {} entries for one input: all photos are in the first",
                many.len()
            ));
        }
    };
    inference::check_shape(&input.shape, photos.len())?;
    Ok(photos)
}

fn contents(values: Values) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match values {
        Values::Texts(texts) => contents.bytes_contents = texts.into_iter().map(Bytes::from).collect(),
        Values::Numbers(numbers) => contents.fp64_contents = numbers,
    }
    contents
}

/// A parameter as JSON would have it. Some clients send no fractions (KServe's for Python): whoever means one writes it as text.
fn value(parameter: InferParameter) -> Value {
    match parameter.parameter_choice {
        None => Value::Null,
        Some(ParameterChoice::BoolParam(value)) => value.into(),
        Some(ParameterChoice::Int64Param(number)) => number.into(),
        Some(ParameterChoice::Uint64Param(number)) => number.into(),
        Some(ParameterChoice::DoubleParam(number)) => number.into(),
        Some(ParameterChoice::StringParam(text)) => value_of(&text),
    }
}

/// No model of that name or version is one that is not ready, as Triton says it: clients ask until it is.
async fn ready(app: &App, request: ModelReadyRequest) -> Result<ModelReadyResponse, ServeError> {
    match find(app, &request.name, &request.version) {
        Ok(_) => Ok(ModelReadyResponse { ready: app.health().ready }),
        Err(ServeError::NotFound(_)) => Ok(ModelReadyResponse { ready: false }),
        Err(error) => Err(error),
    }
}

async fn metadata(app: &App, request: ModelMetadataRequest) -> Result<ModelMetadataResponse, ServeError> {
    let served = find(app, &request.name, &request.version)?;
    Ok(inference::metadata(&served))
}

async fn config(app: &App, request: ModelConfigRequest) -> Result<ModelConfigResponse, ServeError> {
    let served = find(app, &request.name, &request.version)?;
    Ok(ModelConfigResponse { config: Some(inference::config(&served)) })
}

/// Of one model, or of all where none is named.
async fn statistics(
    app: &App,
    request: ModelStatisticsRequest,
) -> Result<ModelStatisticsResponse, ServeError> {
    let models = match request.name.as_str() {
        "" => app.models.all().collect(),
        name => vec![find(app, name, &request.version)?],
    };
    Ok(inference::statistics(app, &models))
}

async fn index(app: &App, request: RepositoryIndexRequest) -> Result<RepositoryIndexResponse, ServeError> {
    match request.ready && !app.health().ready {
        true => Ok(RepositoryIndexResponse::default()),
        false => Ok(inference::index(app)),
    }
}

#[async_trait]
impl GrpcInferenceService for Services {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: self.app.health().ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(inference::server()))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        self.answer(request, ready).await
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        self.answer(request, metadata).await
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.answer(request, infer).await
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        self.answer(request, config).await
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        self.answer(request, statistics).await
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        self.answer(request, index).await
    }
}
