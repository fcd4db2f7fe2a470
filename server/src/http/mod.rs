//! The routers: the REST API and the pages, with the middleware around them; the worker's probes and metrics; what a
//! process answers while it starts.
//!
//! Each resource of the API is in `api`; the pages are in the crate `app`; sockets are in `listener`.

mod api;
mod body_limits;
mod middleware;
mod openapi;
mod page_files;
mod pages;
mod path_prefix;
mod problem;
mod request;
pub mod starting;
mod state;
mod webhook_secrets;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header},
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
    set_header::SetResponseHeaderLayer,
};

use api::monitoring::{health, metrics};
use body_limits::MAX_BODY_BYTES;
use middleware::{
    content_encoding, deadline, load_shedding, problem_rendering,
    request_id::{self, REQUEST_ID},
    request_metrics, request_target, same_origin, selected_representation,
};
use page_files::FromPageFiles;
use problem::Problem;

pub use middleware::{load_shedding::is_probe, same_origin::Hosts};
pub use page_files::PageFiles;
pub use path_prefix::PathPrefix;
pub use state::{KeyRequired, WebState};
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
    let around = ServiceBuilder::new()
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_FRAME_OPTIONS,
            HeaderValue::from_static("DENY"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        // What may be kept says so itself.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-cache"),
        ))
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
        .layer(from_fn_with_state(load_shedding::Budgets::default(), load_shedding::admit))
        .layer(from_fn(deadline::enforce))
        .layer(from_fn_with_state(state.hosts.clone(), same_origin::enforce))
        .layer(from_fn(request_target::enforce))
        .layer(from_fn(content_encoding::normalize))
        .layer(RequestDecompressionLayer::new())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    api.merge(pages::routes(&state)).layer(around).with_state(state)
}

/// The probes and metrics of a worker. It does not report the metrics of the database: every worker would report the
/// same ones, and the web side does so already.
pub fn worker_router(gateway: Gateway, metrics: PrometheusHandle, hosts: Hosts) -> Router {
    health::probes()
        .route("/metrics", get(async move || metrics::text(metrics.render())))
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
