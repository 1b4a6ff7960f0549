//! HTTP: one file per protocol.

mod images;
mod inference;
mod layers;
mod own;
mod pages;
mod route;
mod simple;
mod tensorflow;
mod upload;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::error::ServeError;

pub(crate) use pages::Samples;
use route::Route;

/// Addresses of every protocol, for those who have the token.
fn protocols() -> impl Iterator<Item = Route> {
    [own::routes(), tensorflow::routes(), inference::routes(), simple::routes()].into_iter().flatten()
}

/// What may be looked at before one has a token: health for machines, the page for people, who enter theirs there.
fn open() -> impl Iterator<Item = Route> {
    own::health().into_iter().chain(pages::routes())
}

/// All addresses of the server.
pub(crate) fn router(app: Arc<App>, samples: Samples) -> Router {
    let answered = route::router(protocols())
        .layer(from_fn_with_state(app.clone(), layers::read_body))
        // The layer above has its own limit, for all kinds of bodies.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), layers::authorize));
    answered
        .merge(route::router(open()).layer(Extension(samples)))
        .method_not_allowed_fallback(async || ServeError::Method)
        .fallback(async || ServeError::NotFound("there is nothing here: see /docs".to_owned()))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(app.clone(), layers::observe))
        .layer(from_fn(layers::request_id))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_names_every_address_and_no_other() {
        let served = protocols().chain(open()).map(|route| {
            let path = route.path.replace("{*", "{");
            // In the description, TensorFlow's verb is part of the path; in the router, of its last name.
            let verb = if path.starts_with("/v1/") && route.method == "POST" { ":predict" } else { "" };
            format!("{} {path}{verb}", route.method)
        });
        let description: Value = serde_json::from_str(pages::OPENAPI).unwrap();
        let described = description["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        assert_eq!(served.collect::<BTreeSet<_>>(), described.collect());
    }
}
