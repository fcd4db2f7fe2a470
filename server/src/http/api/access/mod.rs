//! Who may do what: whoever asks, clients and their keys, users and their sessions; and who did what: the audit.
//!
//! The rules and the tables are in the crate `access`; which route needs which permission is in `http::permissions`.

mod audit;
mod clients;
mod keys;
mod me;
mod sessions;
mod token;
mod users;

use utoipa_axum::router::OpenApiRouter;

use crate::http::state::WebState;

/// The routes of access.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new()
        .merge(me::routes())
        .merge(clients::routes())
        .merge(keys::routes())
        .merge(users::routes())
        .merge(sessions::routes())
        .merge(audit::routes())
        .merge(token::routes())
}
