//! The routes, and the middleware that resets a connection instead of answering.

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use super::connection::{ResetSwitch, ResettableListener};
use super::response::{ConnectionReset, error};
use super::{admin, tokens, transactions};
use crate::counters::FaultKind;
use crate::service::Service;

/// Serves until the service drains, and then until the last connection is closed.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>) {
    let listener = ResettableListener::new(listener, service.stop.clone());
    let drained = service.drain.clone().cancelled_owned();
    let router = router(service).into_make_service_with_connect_info::<ResetSwitch>();
    let served = axum::serve(listener, router).with_graceful_shutdown(drained).await;
    if let Err(error) = served {
        tracing::error!(%error, "the simulator's server ended");
    }
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/transactions", get(transactions::list).post(transactions::post))
        .route("/transactions/{id}", get(transactions::get_by_id))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&service), tokens::require))
        .route("/oauth/token", post(tokens::issue))
        .route("/cleanup", post(admin::cleanup))
        .route("/health", get(admin::health))
        .route("/admin/faults", get(admin::faults).put(admin::change_faults))
        .route("/admin/audit", get(admin::audit))
        .fallback(async || error(StatusCode::NOT_FOUND, "no such path"))
        .layer(middleware::from_fn(refuse_cross_site))
        .layer(middleware::from_fn_with_state(Arc::clone(&service), reset_connection))
        .with_state(service)
}

/// A page of another site that is open in a local browser must not empty the ledger. Browsers say
/// in `Sec-Fetch-Site` whether a request comes from another site; other programs send no such
/// header.
async fn refuse_cross_site(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site");
    let is_cross_site = site.is_some_and(|site| site != "same-origin" && site != "none");
    if is_cross_site && !request.method().is_safe() {
        return error(StatusCode::FORBIDDEN, "requests on behalf of another site are refused");
    }
    next.run(request).await
}

/// Resets the connection if the response is marked so, an outage lasts or begins, or the simulator
/// stops.
async fn reset_connection(
    State(service): State<Arc<Service>>,
    ConnectInfo(switch): ConnectInfo<ResetSwitch>,
    request: Request,
    next: Next,
) -> Response {
    let is_admin = request.uri().path().starts_with("/admin/");
    let response = tokio::select! {
        biased;
        () = service.stop.cancelled() => ConnectionReset::response(),
        () = service.outage(), if !is_admin => {
            service.counters.count_fault(FaultKind::Outage);
            ConnectionReset::response()
        }
        response = next.run(request) => response,
    };
    if response.extensions().get::<ConnectionReset>().is_some() {
        switch.reset();
    }
    response
}
