//! HTTP: one file per protocol.

mod address;
mod chat;
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
use axum::middleware::{from_fn, from_fn_with_state, map_response};
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
    let all = [
        own::routes(),
        tensorflow::routes(),
        inference::routes(),
        triton::routes(),
        simple::routes(),
        chat::ollama(),
    ];
    all.into_iter().flatten()
}

/// What may be looked at before one has a token: health for machines, the page for people, who enter theirs there.
fn open() -> impl Iterator<Item = Route> {
    [own::health(), inference::health(), simple::health(), pages::routes()].into_iter().flatten()
}

/// All addresses of the server, for pages of the origins that `cors` names too.
pub(crate) fn router(app: Arc<App>, samples: Samples, cors: Option<CorsLayer>) -> Router {
    let answered = |router: Router<Arc<App>>| {
        router
            .layer(from_fn_with_state(app.clone(), layers::read_body))
            // The layer above has its own limit, for all kinds of bodies.
            .layer(DefaultBodyLimit::disable())
            .layer(from_fn_with_state(app.clone(), layers::authorize))
    };
    let mut addresses = answered(route::router(protocols()))
        .merge(answered(route::router(chat::openai())).layer(map_response(chat::reshape)))
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
    use std::fmt::Write;
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::models::KEPT;

    const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/addresses.md");
    const HEAD: &str = "# Addresses\n\n\
        All addresses of `just serve` over HTTP, and whose they are. Where several share one, a client is told by its headers \
        ([serve.md](serve.md#who-speaks-what)).\n\n\
        | address | whose | what |\n|---|---|---|\n";

    fn all() -> Vec<Route> {
        protocols().chain(chat::openai()).chain(open()).collect()
    }

    /// As the description writes it: TensorFlow's verb is part of the path there; in the router, of its last name.
    fn described(route: &Route) -> (String, String) {
        let path = route.path.replace("{*", "{");
        let verb = if path.starts_with("/v1/models/") && route.method == "POST" { ":predict" } else { "" };
        (route.method.as_str().to_lowercase(), path + verb)
    }

    fn description() -> Value {
        serde_json::from_str(pages::OPENAPI).unwrap()
    }

    #[test]
    fn the_description_names_every_address_and_no_other() {
        let description = description();
        let described_there = description["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
        });
        assert_eq!(all().iter().map(described).collect::<BTreeSet<_>>(), described_there.collect());
    }

    /// Prints it too: `cargo test -p serve the_table -- --nocapture`; `RECORD_ADDRESSES=1` writes it anew.
    #[test]
    fn the_table_of_addresses_is_that_of_the_router() {
        let description = description();
        let mut table = HEAD.to_owned();
        for (method, path) in all().iter().map(described) {
            let call = &description["paths"][&path][&method];
            let whose: Vec<&str> =
                call["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
            let (method, what) = (method.to_uppercase(), call["summary"].as_str().unwrap());
            writeln!(table, "| `{method} {path}` | {} | {what} |", whose.join(", ")).unwrap();
        }
        println!("{table}");
        if std::env::var_os("RECORD_ADDRESSES").is_some() {
            std::fs::write(TABLE, &table).unwrap();
        }
        let written = std::fs::read_to_string(Path::new(TABLE)).unwrap();
        assert_eq!(written, table, "docs/addresses.md is of another server: RECORD_ADDRESSES=1 writes it");
    }

    /// The segment by which one path takes an address from another: a name of its own where the other has any name.
    fn shadows<'a>(narrow: &'a str, wide: &str) -> Option<&'a str> {
        let is_any = |part: &str| part.starts_with('{');
        let (narrow_parts, wide_parts): (Vec<&str>, Vec<&str>) =
            (narrow.split('/').collect(), wide.split('/').collect());
        let rest = wide_parts.iter().position(|part| part.starts_with("{*"));
        let same_length = narrow_parts.len() == wide_parts.len();
        if narrow == wide || !(same_length || rest.is_some_and(|rest| narrow_parts.len() > rest)) {
            return None;
        }
        let mut takes = None;
        for (one, other) in narrow_parts.iter().zip(&wide_parts) {
            match (is_any(one), is_any(other)) {
                (false, true) => takes = Some(*one),
                (false, false) if one != other => return None,
                _ => {}
            }
        }
        takes
    }

    #[test]
    fn no_protocol_takes_an_address_from_another() {
        let routes = all();
        let mut taken = BTreeSet::new();
        for narrow in &routes {
            for wide in routes.iter().filter(|wide| wide.method == narrow.method) {
                taken.extend(shadows(&narrow.path, &wide.path));
            }
        }
        // No model has such a name.
        assert_eq!(taken, BTreeSet::from(KEPT));
        // A path of one protocol with the method of another is no clash, but the same twice would be.
        let pairs: BTreeSet<_> = routes.iter().map(|route| (route.method.as_str(), &route.path)).collect();
        assert_eq!(pairs.len(), routes.len());
        assert_eq!(shadows("/v1/models/stats", "/v1/models/{model}"), Some("stats"));
        assert_eq!(shadows("/models/a/b", "/models/{*model}"), Some("a"));
        assert_eq!(shadows("/v1/models/{model}", "/v2/models/{model}"), None);
        assert_eq!(shadows("/v2/{a}/ready", "/v2/{a}/{b}"), Some("ready"));
    }
}
