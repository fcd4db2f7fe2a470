//! The routers: the REST API and the pages, with the middleware around them; the worker's probes and metrics; what a
//! process answers while it starts.
//!
//! Each resource of the API is in `api`; the pages are in the crate `app`; sockets are in `listener`.

mod api;
mod body_limits;
mod middleware;
mod openapi;
mod problem;
mod request;
pub mod starting;
mod state;
mod webhook_secrets;

use app::{App, shell};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, header},
    middleware::{from_fn, from_fn_with_state, map_request},
    routing::get,
};
use gateway::Gateway;
use leptos::prelude::provide_context;
use leptos_axum::{LeptosRoutes, generate_route_list};
use metrics_exporter_prometheus::PrometheusHandle;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, Predicate, predicate::DefaultPredicate},
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
};

use api::monitoring::{health, home, metrics};
use body_limits::MAX_BODY_BYTES;
use middleware::{
    deadline, load_shedding, problem_rendering,
    request_id::{self, REQUEST_ID},
    request_metrics, same_origin,
};
use problem::Problem;

pub use middleware::load_shedding::is_probe;
pub use state::{KeyRequired, WebState, WebhookSignatures};
pub use webhook_secrets::{WebhookSecretError, WebhookSecrets};

/// Every route of the web side.
pub fn router(state: WebState) -> Router {
    let context = {
        let (gateway, setting) = (state.gateway.clone(), state.setting.clone());
        move || {
            provide_context(gateway.clone());
            provide_context(setting.clone());
        }
    };
    let render = {
        let options = state.options.clone();
        move || shell(options.clone())
    };
    let pages = Router::new()
        .leptos_routes_with_context(&state, generate_route_list(App), context.clone(), render)
        .fallback(leptos_axum::file_and_error_handler_with_context::<WebState, _>(context, shell))
        .layer(from_fn(home::status_for_programs))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES));

    let (api, document) =
        openapi::router().merge(api::routes(state.simulator.is_some())).split_for_parts();
    let api = api
        .merge(openapi::routes(&openapi::finished(document)))
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
        // The page's script and style have no version in their names, so a browser must revalidate them.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-cache"),
        ))
        .layer(map_request(request_id::drop_unfit))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(
            CompressionLayer::new().compress_when(DefaultPredicate::new().and(is_not_event_stream)),
        )
        .layer(from_fn(request_metrics::measure))
        .layer(from_fn(problem_rendering::render))
        .layer(CatchPanicLayer::custom(problem_rendering::panic_response))
        .layer(from_fn_with_state(load_shedding::Budgets::default(), load_shedding::admit))
        .layer(from_fn(deadline::enforce))
        .layer(from_fn(same_origin::enforce))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    api.merge(pages).layer(around).with_state(state)
}

/// The probes and metrics of a worker. The web side reports the metrics of the database: there are many workers.
pub fn worker_router(gateway: Gateway, metrics: PrometheusHandle) -> Router {
    health::probes()
        .route("/metrics", get(async move || metrics::text(metrics.render())))
        .layer(from_fn(same_origin::enforce))
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

/// Compression would hold events back.
fn is_not_event_stream(
    _: axum::http::StatusCode,
    _: axum::http::Version,
    headers: &axum::http::HeaderMap,
    _: &axum::http::Extensions,
) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    !kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

async fn unknown_path() -> Problem {
    Problem::not_found("no resource exists at this path")
}

async fn wrong_method() -> Problem {
    Problem::method_not_allowed()
}
