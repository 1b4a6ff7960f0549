//! The gRPC API of TensorFlow Serving.

mod layers;
mod services;
mod tensors;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tonic::service::Routes;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::proto::tensorflow::serving::model_service_server::ModelServiceServer;
use crate::proto::tensorflow::serving::prediction_service_server::PredictionServiceServer;
use services::Services;

/// What a message holds beside its photos.
const ENVELOPE: usize = 64 << 10;

/// All calls. They go through the same layers as requests of HTTP do: the token is asked for before the message is read,
/// and the message is read whole, within the budget, before it is decoded.
pub(crate) fn router(app: Arc<App>) -> Router {
    let most = app.max_body + ENVELOPE;
    let services = Services { app: app.clone() };
    let prediction = PredictionServiceServer::new(services.clone()).max_decoding_message_size(most);
    Routes::new(prediction)
        .add_service(ModelServiceServer::new(services))
        .into_axum_router()
        .layer(from_fn_with_state(app.clone(), layers::read_body))
        .layer(from_fn_with_state(app.clone(), layers::authorize))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(app, layers::observe))
}
