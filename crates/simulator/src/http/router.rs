//! The HTTP side: which path goes where, and how a connection is broken off instead of answered.

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use super::connection::{BreakableListener, KillSwitch};
use super::response::{BreakOff, error};
use super::{admin, transactions};
use crate::counters::FaultKind;
use crate::service::Service;

/// Serves until the service drains, and then until the last connection is gone.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>) {
    let listener = BreakableListener::new(listener, service.stop.clone());
    let drained = service.drain.clone().cancelled_owned();
    let router = router(service).into_make_service_with_connect_info::<KillSwitch>();
    let served = axum::serve(listener, router).with_graceful_shutdown(drained).await;
    if let Err(error) = served {
        tracing::error!(%error, "the simulator's server ended");
    }
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/transactions", get(transactions::list).post(transactions::post))
        .route("/transactions/{id}", get(transactions::look_up))
        .route("/cleanup", post(admin::cleanup))
        .route("/health", get(admin::health))
        .route("/admin/faults", get(admin::faults).put(admin::change_faults))
        .route("/admin/audit", get(admin::audit))
        .fallback(async || error(StatusCode::NOT_FOUND, "there is no such path"))
        .layer(middleware::from_fn(keep_other_sites_out))
        .layer(middleware::from_fn_with_state(Arc::clone(&service), break_off))
        .with_state(service)
}

/// A page of another site that is open in a browser here must not empty the ledger. Browsers say
/// where a request comes from (`Sec-Fetch-Site`); programs send no such header.
async fn keep_other_sites_out(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site");
    let foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    if foreign && !request.method().is_safe() {
        return error(StatusCode::FORBIDDEN, "requests on behalf of another site are not taken");
    }
    next.run(request).await
}

/// Breaks the connection off where the answer says so, an outage lasts or begins, or all ends.
async fn break_off(
    State(service): State<Arc<Service>>,
    ConnectInfo(switch): ConnectInfo<KillSwitch>,
    request: Request,
    next: Next,
) -> Response {
    let is_admin = request.uri().path().starts_with("/admin/");
    let response = tokio::select! {
        biased;
        () = service.stop.cancelled() => BreakOff::response(),
        () = service.outage(), if !is_admin => {
            service.counters.count_fault(FaultKind::Outage);
            BreakOff::response()
        }
        response = next.run(request) => response,
    };
    if response.extensions().get::<BreakOff>().is_some() {
        switch.throw();
    }
    response
}
