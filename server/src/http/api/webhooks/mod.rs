//! `/v1`: inbound webhooks, their signatures, and the view of a transaction that its sender gets.
//!
//! A webhook becomes an ordinary submission; nothing here sends webhooks.

mod receive;
mod sender_view;
mod signature;

use utoipa_axum::router::OpenApiRouter;

use crate::http::state::Web;

/// The routes of webhooks.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().merge(receive::routes()).merge(sender_view::routes())
}
