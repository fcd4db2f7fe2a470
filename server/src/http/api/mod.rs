//! The REST API: one folder for each resource, with its handlers and the types that only they use.
//!
//! Reading bodies and fields is in `request`, errors are in `problem`, and what holds for every request is in
//! `middleware`.

pub mod access;
pub mod monitoring;
pub mod operations;
pub mod transactions;
pub mod webhooks;

use utoipa_axum::router::OpenApiRouter;

use super::state::WebState;

/// The documented routes; `simulated` adds those that exist only if the simulator runs inside.
pub fn routes(simulated: bool) -> OpenApiRouter<WebState> {
    let api = OpenApiRouter::new()
        .merge(transactions::routes())
        .merge(webhooks::routes())
        .merge(operations::routes())
        .merge(monitoring::routes())
        .merge(access::routes());
    match simulated {
        true => api.merge(operations::simulated_routes()),
        false => api,
    }
}
