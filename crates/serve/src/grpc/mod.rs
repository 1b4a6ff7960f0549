//! The gRPC API of TensorFlow Serving.

mod services;
mod tensors;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::app::App;
use crate::proto::tensorflow::serving::model_service_server::ModelServiceServer;
use crate::proto::tensorflow::serving::prediction_service_server::PredictionServiceServer;
use services::Services;

/// What a message holds beside its photos.
const ENVELOPE: usize = 64 << 10;
/// Calls at a time on a connection.
const CALLS: usize = 64;

/// Answers on `listener` until `stop` turns true, then waits for the answers under way, `patience` at most.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    mut stop: watch::Receiver<bool>,
    patience: Duration,
) -> Result<(), tonic::transport::Error> {
    let most = app.max_body + ENVELOPE;
    let services = Services { app };
    let mut stopped = stop.clone();
    let server = Server::builder()
        // A message may take as long to arrive as its answer.
        .timeout(2 * patience)
        .concurrency_limit_per_connection(CALLS)
        .http2_keepalive_interval(Some(patience))
        .add_service(PredictionServiceServer::new(services.clone()).max_decoding_message_size(most))
        .add_service(ModelServiceServer::new(services))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        });
    let impatient = async {
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        ended = server => ended,
        () = impatient => Ok(()),
    }
}
