//! One address of the server, as a value: what the router serves can be held against what the description says.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::app::App;

/// A method, a path in axum's syntax, and what answers there.
pub(crate) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "read where routes are held against one another"))]
    pub(super) method: Method,
    pub(super) path: Cow<'static, str>,
    handler: MethodRouter<Arc<App>>,
}

pub(super) fn get<H, T>(path: impl Into<Cow<'static, str>>, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    Route { method: Method::GET, path: path.into(), handler: on(MethodFilter::GET, handler) }
}

pub(super) fn post<H, T>(path: impl Into<Cow<'static, str>>, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    Route { method: Method::POST, path: path.into(), handler: on(MethodFilter::POST, handler) }
}

pub(super) fn put<H, T>(path: impl Into<Cow<'static, str>>, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    Route { method: Method::PUT, path: path.into(), handler: on(MethodFilter::PUT, handler) }
}

pub(super) fn router(routes: impl IntoIterator<Item = Route>) -> Router<Arc<App>> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(&route.path, route.handler))
}
