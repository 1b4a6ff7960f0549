//! The page for people, the API's description, and sample photos. All of it is in the program: no build, no other host.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use anyhow::Context;
use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Json};

use super::address::Address;
use super::chat::RUNNING;
use super::route::{Route, get};
use crate::error::ServeError;

/// With what it has in common with the page that `export` writes.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let page = include_str!("../../assets/index.html");
    page.replace("/* page.css */\n", include_str!("../../../../assets/page.css"))
        .replace("// page.js\n", include_str!("../../../../assets/page.js"))
});
const DOCS: &str = include_str!("../../assets/docs.html");
pub(super) const OPENAPI: &str = include_str!("../../assets/openapi.json");
/// Only what the page brings itself; photos of the user are `blob:`.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src 'self' blob: data:; media-src blob: mediastream:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
/// More would be an album.
const MOST_SAMPLES: usize = 12;

/// Photos that the page offers, by name.
#[derive(Clone, Default)]
pub(crate) struct Samples(Arc<BTreeMap<String, Bytes>>);

impl Samples {
    /// The first photos of a folder, by name.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Samples> {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        paths.retain(|path| media_type(path).is_some());
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let bytes = caption::read_file(path).with_context(|| path.display().to_string())?;
            Ok((name, Bytes::from(bytes)))
        };
        Ok(Samples(Arc::new(paths.iter().take(MOST_SAMPLES).map(read).collect::<anyhow::Result<_>>()?)))
    }
}

fn media_type(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => Some("image/jpeg"),
        "png" => Some("image/png"),
        "webp" => Some("image/webp"),
        "gif" => Some("image/gif"),
        _ => None,
    }
}

/// They read the [`Samples`] of an extension.
pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/", root),
        get("/docs", async || page(DOCS)),
        get("/openapi.json", async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI)),
        get("/samples", names),
        get("/samples/{name}", sample),
    ]
}

/// The page for browsers, which ask for one; for programs, what Ollama says there.
async fn root(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match accepts.contains("text/html") {
        true => page(&PAGE).into_response(),
        false => RUNNING.into_response(),
    }
}

fn page(html: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html))
}

async fn names(Extension(samples): Extension<Samples>) -> Json<Vec<String>> {
    Json(samples.0.keys().cloned().collect())
}

async fn sample(
    Address(name): Address<String>,
    Extension(samples): Extension<Samples>,
) -> Result<Response, ServeError> {
    let none = || ServeError::NotFound(format!("there is no sample {name}"));
    let (bytes, kind) = samples.0.get(&name).zip(media_type(Path::new(&name))).ok_or_else(none)?;
    Ok(([(header::CONTENT_TYPE, kind)], bytes.clone()).into_response())
}
