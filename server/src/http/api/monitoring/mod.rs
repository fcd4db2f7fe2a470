//! How Onceward is doing: health and probes, metrics, the stream of changes, the sign of life at `/`.
//!
//! The metrics' names are in `telemetry`; counting requests is a middleware.

pub mod health;
pub mod home;
pub mod metrics;
mod stream;

use utoipa_axum::router::OpenApiRouter;

use crate::http::state::Web;

/// The routes of monitoring.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().merge(stream::routes()).merge(health::routes()).merge(metrics::routes())
}
