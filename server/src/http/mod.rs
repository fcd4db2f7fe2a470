//! The routers: the REST API and the pages, with the middleware around them; the worker's probes and metrics; what a
//! process answers while it starts.
//!
//! Each resource of the API is in `api`; the pages are in the crate `app`; sockets are in `listener`.

mod api;
mod body_limits;
mod client_address;
mod content_security_policy;
mod export;
mod metrics_access;
mod middleware;
mod openapi;
mod page_files;
mod pages;
mod path_prefix;
mod people;
mod permissions;
mod problem;
mod request;
mod security_headers;
mod session_cookie;
pub mod starting;
mod state;
mod stream_slots;
mod webhook_secrets;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, header},
    middleware::{from_fn, from_fn_with_state, map_request, map_response},
    routing::get,
};
use gateway::Gateway;
use metrics_exporter_prometheus::PrometheusHandle;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, Predicate, predicate::DefaultPredicate},
    decompression::RequestDecompressionLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};

use api::monitoring::{health, metrics};
use body_limits::MAX_BODY_BYTES;
use middleware::{
    authentication,
    body_arrival::{self, Arrivals},
    content_encoding, deadline, load_shedding, problem_rendering, rate_limit,
    request_id::{self, REQUEST_ID},
    request_metrics, request_target, same_origin, selected_representation,
};
use page_files::FromPageFiles;
use problem::Problem;

pub use client_address::TrustedProxies;
pub use metrics_access::{MetricsAccess, TokenHash};
pub use middleware::{authentication::Authentication, load_shedding::is_probe, same_origin::Hosts};
pub use page_files::PageFiles;
pub use path_prefix::PathPrefix;
pub use security_headers::SecurityHeaders;
pub use state::{KeyRequired, WebState};
pub use stream_slots::StreamSlots;
pub use webhook_secrets::{WebhookSecrets, WebhookSignatures};

/// Every route of the web side.
pub fn router(state: WebState) -> Router {
    let (api, document) =
        openapi::router().merge(api::routes(state.simulator.is_some())).split_for_parts();
    let api = api
        .merge(openapi::routes(openapi::finished(document), &state.path_prefix))
        .route("/api", axum::routing::any(unknown_path))
        .route("/api/{*path}", axum::routing::any(unknown_path))
        .route("/v1", axum::routing::any(unknown_path))
        .route("/v1/", axum::routing::any(unknown_path))
        .route("/v1/{*path}", axum::routing::any(unknown_path))
        .method_not_allowed_fallback(wrong_method);

    // One stack: with single layers the router would box its routes once for each layer, and copy all of that for
    // each request. The first layer is the outermost.
    let budgets = load_shedding::Budgets::default();
    let around = ServiceBuilder::new()
        .layer(map_request(request_id::drop_unfit))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(map_response(selected_representation::state))
        .layer(
            CompressionLayer::new().compress_when(DefaultPredicate::new().and(may_be_compressed)),
        )
        .layer(from_fn(request_metrics::measure))
        .layer(from_fn(problem_rendering::render))
        .layer(CatchPanicLayer::custom(problem_rendering::panic_response))
        .layer(from_fn_with_state(state.limits.clone(), rate_limit::limit_address))
        .layer(from_fn_with_state(state.hosts.clone(), same_origin::enforce))
        .layer(from_fn(request_target::enforce))
        .layer(from_fn_with_state(Arrivals::new(budgets.clone()), body_arrival::receive))
        .layer(from_fn_with_state(budgets, load_shedding::admit))
        .layer(from_fn(deadline::enforce))
        .layer(from_fn_with_state(state.authentication.clone(), authentication::authenticate))
        .layer(from_fn_with_state(state.limits.clone(), rate_limit::limit_principal))
        .layer(from_fn(content_encoding::normalize))
        .layer(RequestDecompressionLayer::new())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    api.merge(pages::routes(&state)).merge(people::routes()).layer(around).with_state(state)
}

/// The probes and metrics of a worker. It does not report the metrics of the database: every worker would report the
/// same ones, and the web side does so already.
pub fn worker_router(
    gateway: Gateway,
    metrics: PrometheusHandle,
    access: MetricsAccess,
    hosts: Hosts,
) -> Router {
    let metrics = async move |headers: HeaderMap| {
        access.check(&headers).map(|()| metrics::text(metrics.render()))
    };
    health::probes()
        .route("/metrics", get(metrics))
        .layer(from_fn_with_state(hosts, same_origin::enforce))
        .layer(from_fn(problem_rendering::render))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(map_request(request_id::drop_unfit))
        .with_state(gateway)
}

/// Answers every request of a connection without a permit: 503.
pub fn refusal() -> Router {
    Router::new()
        .fallback(async || Problem::overloaded("too many connections are open"))
        .layer(from_fn(problem_rendering::render))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(map_request(request_id::drop_unfit))
}

/// Compression would hold events back, and the page's files are compressed already.
fn may_be_compressed(
    _: axum::http::StatusCode,
    _: axum::http::Version,
    headers: &axum::http::HeaderMap,
    extensions: &axum::http::Extensions,
) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_event_stream = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
    !is_event_stream && extensions.get::<FromPageFiles>().is_none()
}

async fn unknown_path() -> Problem {
    Problem::not_found("no resource exists at this path")
}

async fn wrong_method() -> Problem {
    Problem::method_not_allowed()
}
