//! The actions of operators: interventions in one transaction, bulk retries, the pause of posting, the cleanup.
//!
//! Reading the state of Onceward is in `monitoring`.

mod bulk_retries;
mod cleanup;
mod interventions;
mod posting_pause;
mod reason;

use utoipa_axum::router::OpenApiRouter;

use crate::http::state::WebState;

/// The routes of operators.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new()
        .merge(interventions::routes())
        .merge(bulk_retries::routes())
        .merge(posting_pause::routes())
}

/// The routes that exist only if the simulator runs inside.
pub fn simulated_routes() -> OpenApiRouter<WebState> {
    cleanup::routes()
}
