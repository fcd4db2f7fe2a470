//! The REST API: one folder for each resource, with its handlers and the types that only they use.
//!
//! Reading bodies and fields is in `request`, errors in `problem`, what holds for every request in `middleware`.

pub mod monitoring;
pub mod operations;
pub mod transactions;
pub mod webhooks;

use utoipa_axum::router::OpenApiRouter;

use super::state::Web;

/// The routes that programs use, with what the API's document says of each.
pub fn routes(simulated: bool) -> OpenApiRouter<Web> {
    let api = OpenApiRouter::new()
        .merge(transactions::routes())
        .merge(webhooks::routes())
        .merge(operations::routes())
        .merge(monitoring::routes());
    match simulated {
        true => api.merge(operations::simulated_routes()),
        false => api,
    }
}
