//! The router of a process that is still starting: it is alive, and not ready.

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state, map_request},
    routing::get,
};
use tokio::sync::watch;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use super::{
    api::monitoring::health,
    middleware::{
        problem_rendering,
        request_id::{self, REQUEST_ID},
        same_origin::{self, Hosts},
    },
    problem::Problem,
};

/// Answers everything but `/livez` with 503 and what the start waits for.
pub fn router(waits_for: watch::Receiver<String>, hosts: Hosts) -> Router {
    let refuse = async move || Problem::starting(&waits_for.borrow());
    Router::new()
        .route("/livez", get(health::live))
        .fallback(refuse)
        .layer(from_fn_with_state(hosts, same_origin::enforce))
        .layer(from_fn(problem_rendering::render))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(map_request(request_id::drop_unfit))
}
