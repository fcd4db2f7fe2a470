//! Who may do what, and who did what: the audit.

mod audit;

use utoipa_axum::router::OpenApiRouter;

use crate::http::state::WebState;

/// The routes of access.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().merge(audit::routes())
}
