//! The state of Onceward: health and probes, metrics, the stream of changes, the status at `/`.
//!
//! The names of the metrics are in `telemetry`; a middleware counts the requests.

pub mod health;
pub mod home;
pub mod metrics;
mod stream;

use utoipa_axum::router::OpenApiRouter;

use crate::http::state::WebState;

/// The routes of monitoring.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().merge(stream::routes()).merge(health::routes()).merge(metrics::routes())
}
