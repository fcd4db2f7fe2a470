//! What operators do: interventions in one transaction, bulk retries, the pause of posting, the cleanup.
//!
//! Reading how Onceward is doing is in `monitoring`.

mod bulk_retries;
mod cleanup;
mod interventions;
mod posting_pause;
mod reason;

use utoipa_axum::router::OpenApiRouter;

use crate::http::state::Web;

/// The routes of operators.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .merge(interventions::routes())
        .merge(bulk_retries::routes())
        .merge(posting_pause::routes())
}

/// The routes that exist only where the simulator runs inside.
pub fn simulated_routes() -> OpenApiRouter<Web> {
    cleanup::routes()
}
