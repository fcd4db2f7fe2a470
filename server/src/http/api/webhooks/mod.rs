//! `/v1`: inbound webhooks, their signatures, and the sender's view of a transaction.
//!
//! A webhook becomes an ordinary submission. Nothing here sends webhooks.

mod receive;
mod sender_view;
mod signature;

use utoipa_axum::router::OpenApiRouter;

use crate::http::state::WebState;

/// The routes of webhooks.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().merge(receive::routes()).merge(sender_view::routes())
}
