//! TensorFlow Serving and Open Inference over gRPC, with health and reflection as gRPC's own tools ask for them.

mod health;
mod inference;
mod layers;
mod services;
mod tensors;
mod wire;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tonic::Status;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server::Builder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::proto::DESCRIPTORS;
use crate::proto::tensorflow::serving::model_service_server::ModelServiceServer;
use crate::proto::tensorflow::serving::prediction_service_server::PredictionServiceServer;
use services::Services;

/// What a message holds beside its photos.
const ENVELOPE: usize = 64 << 10;
/// The services of the model.
const SERVICES: [&str; 3] = [
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "inference.GRPCInferenceService",
];

/// To who asks for what the server does by itself.
const NO_RELOAD: &str =
    "nothing needs to be reloaded: a newer version in the folder of --model is taken up by itself";

/// All calls. They go through the same layers as requests of HTTP do: the token is asked for before the message is read,
/// and the message is read whole, within the budget, before it is decoded. Health is open to all who watch the server.
///
/// # Errors
///
/// Descriptions of messages that are none.
pub(crate) fn router(
    app: Arc<App>,
    stop: watch::Receiver<bool>,
) -> Result<Router, tonic_reflection::server::Error> {
    let services = Services { app: app.clone() };
    let prediction =
        PredictionServiceServer::new(services.clone()).max_decoding_message_size(app.max_body + ENVELOPE);
    // Call by call, because a service answers what it does not know without a word.
    let model = Router::new()
        .route_service("/tensorflow.serving.PredictionService/Predict", prediction.clone())
        .route_service("/tensorflow.serving.PredictionService/GetModelMetadata", prediction)
        .route_service(
            "/tensorflow.serving.ModelService/GetModelStatus",
            ModelServiceServer::new(services.clone()),
        )
        .merge(inference::closed(&services))
        .layer(from_fn_with_state(app.clone(), layers::read_body));
    // They listen while they speak, so nobody waits for the end of what they say.
    let reflection = || {
        let described = Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
        described.register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection().build_v1()?.max_decoding_message_size(ENVELOPE);
    let v1alpha = reflection().build_v1alpha()?.max_decoding_message_size(ENVELOPE);
    let closed = add(add(model, v1), v1alpha).layer(from_fn_with_state(app.clone(), layers::authorize));
    let health = health::Health { app: app.clone(), stop };
    let health = HealthServer::new(health).max_decoding_message_size(ENVELOPE);
    Ok(add(closed, health)
        .merge(inference::open(&services))
        .fallback(unknown)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(app, layers::observe)))
}

fn add<S>(router: Router, service: S) -> Router
where
    S: Service<Request, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    router.route_service(&format!("/{}/{{*call}}", S::NAME), service)
}

/// What TensorFlow Serving and Triton answer and we do not says what to call.
async fn unknown(request: Request<Body>) -> Response {
    let call = request.uri().path().trim_start_matches('/');
    Status::unimplemented(match call.strip_prefix("tensorflow.serving.").unwrap_or(call) {
        "PredictionService/Classify" | "PredictionService/Regress" | "PredictionService/MultiInference" => {
            "this model captions photos: call PredictionService.Predict with the input image_bytes".to_owned()
        }
        "SessionService/SessionRun" => {
            "there is no session: call PredictionService.Predict with the input image_bytes".to_owned()
        }
        "ModelService/HandleReloadConfigRequest" => NO_RELOAD.to_owned(),
        "inference.GRPCInferenceService/ModelStreamInfer" => {
            "captions do not come in pieces: call GRPCInferenceService.ModelInfer with the input image"
                .to_owned()
        }
        "inference.GRPCInferenceService/RepositoryModelLoad"
        | "inference.GRPCInferenceService/RepositoryModelUnload" => NO_RELOAD.to_owned(),
        call if call.starts_with("inference.") && call.contains("SharedMemory") => {
            "the server shares no memory with its clients: send the photo in the message of ModelInfer"
                .to_owned()
        }
        other => {
            crate::error::brief(&format!("there is no call {other:?}: there are {}", SERVICES.join(", ")))
        }
    })
    .into_http()
}
