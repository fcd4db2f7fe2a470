//! `/api/transactions`: submitting one or many, showing, listing and exporting them.
//!
//! What operators do to a transaction is in `operations`; the rules of a submission are in `domain`.

mod batch;
mod changes;
pub mod example;
mod export_file;
pub mod filter;
pub mod idempotency_header;
mod list;
mod show;
mod submit;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::state::WebState;

/// The routes of transactions.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, submit::submit))
        .routes(routes!(show::show))
        .routes(routes!(show::attempts))
        .routes(routes!(export_file::export))
        .routes(routes!(changes::changes))
        .merge(batch::routes())
}
