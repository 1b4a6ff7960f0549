//! HTTP: one file a protocol.

mod images;
mod inference;
mod layers;
mod listen;
mod own;
mod pages;
mod simple;
mod tensorflow;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::error::ServeError;

pub(crate) use listen::serve;
pub(crate) use pages::Samples;

/// Memory for bodies of requests that are arriving or being answered.
const BODIES: usize = 512 << 20;

/// All addresses of the server.
pub(crate) fn router(app: Arc<App>, samples: Samples) -> Router {
    let bodies = Arc::new(Semaphore::new(BODIES));
    let answered = Router::new()
        .merge(own::routes())
        .merge(tensorflow::routes())
        .merge(inference::routes())
        .merge(simple::routes())
        .layer(from_fn_with_state((app.clone(), bodies), layers::read_body))
        // The layer above has its own limit, for all kinds of bodies.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), layers::authorize));
    // To be looked at before one has a token: health for machines, the page for people, who enter theirs there.
    let open = Router::new().merge(own::health()).merge(pages::routes(samples));
    answered
        .merge(open)
        .method_not_allowed_fallback(async || ServeError::Method)
        .fallback(async || ServeError::NotFound("there is nothing here: see /docs".to_owned()))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(app.clone(), layers::observe))
        .layer(from_fn(layers::request_id))
        .with_state(app)
}
