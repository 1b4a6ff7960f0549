//! HTTP: one file per protocol.

mod address;
mod hints;
mod inference;
mod json;
mod layers;
mod own;
mod pages;
mod photo;
mod route;
mod simple;
mod tensorflow;
mod triton;
mod upload;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::normalize_path::NormalizePath;

use crate::app::App;
use crate::error::ServeError;

pub(crate) use pages::Samples;
use route::Route;

/// Addresses of every protocol, for those who have the token.
fn protocols() -> impl Iterator<Item = Route> {
    let all = [own::routes(), tensorflow::routes(), inference::routes(), triton::routes(), simple::routes()];
    all.into_iter().flatten()
}

/// What may be looked at before one has a token: health for machines, the page for people, who enter theirs there.
fn open() -> impl Iterator<Item = Route> {
    [own::health(), inference::health(), simple::health(), pages::routes()].into_iter().flatten()
}

/// All addresses of the server, for pages of the origins that `cors` names too.
pub(crate) fn router(app: Arc<App>, samples: Samples, cors: Option<CorsLayer>) -> Router {
    let answered = route::router(protocols())
        .layer(from_fn_with_state(app.clone(), layers::read_body))
        // The layer above has its own limit, for all kinds of bodies.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), layers::authorize));
    let mut addresses = answered
        .merge(route::router(open()).layer(Extension(samples)))
        .method_not_allowed_fallback(async |uri: Uri| {
            let allow = tensorflow::allowed(uri.path()).map(|allow| [(header::ALLOW, allow)]);
            (allow, ServeError::Method)
        })
        .fallback(async || ServeError::NotFound("there is nothing here: see /docs".to_owned()))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(app.clone(), layers::observe))
        .layer(from_fn(layers::request_id))
        .with_state(app);
    if let Some(cors) = cors {
        addresses = addresses.layer(cors);
    }
    // Around the router, which must see the address as it is meant: `/predict/` is `/predict`.
    Router::new().fallback_service(NormalizePath::trim_trailing_slash(addresses))
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
