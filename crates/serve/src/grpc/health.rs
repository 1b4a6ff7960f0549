//! `grpc.health.v1`, as load balancers and Kubernetes ask: of the whole server (no name), or of one of its services.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::SERVICES;
use crate::app::App;

/// How often a watch looks whether something has changed.
const LOOK: Duration = Duration::from_secs(1);

/// The service: ready as `/v2/health/ready` says it, and no more once the server ends.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) app: Arc<App>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Health {
    fn status(&self, service: &str) -> ServingStatus {
        if !service.is_empty() && !SERVICES.contains(&service) {
            return ServingStatus::ServiceUnknown;
        }
        match self.app.health().ready && !*self.stop.borrow() {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        }
    }

    /// The status once it is another than the last one; none once the server ends.
    async fn change(&mut self, service: &str, last: Option<ServingStatus>) -> Option<ServingStatus> {
        let mut ending = *self.stop.borrow();
        loop {
            let status = self.status(service);
            if Some(status) != last {
                return Some(status);
            }
            if ending {
                return None;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = self.stop.wait_for(|stop| *stop) => ending = true,
            }
        }
    }
}

#[async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.status(&request.get_ref().service) {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found(format!("there are the services {}", SERVICES.join(", "))))
            }
            status => Ok(Response::new(HealthCheckResponse { status: status.into() })),
        }
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (health, service) = (self.clone(), request.into_inner().service);
        let changes = stream::unfold((health, service, None), async |(mut health, service, last)| {
            let status = health.change(&service, last).await?;
            let answer = HealthCheckResponse { status: status.into() };
            Some((Ok(answer), (health, service, Some(status))))
        });
        Ok(Response::new(changes.boxed()))
    }
}
