//! `GET /metrics`.

use axum::{extract::State, http::header, response::IntoResponse};
use gateway::Gateway;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::timeout;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{middleware::deadline::PATIENCE, problem::error_responses, state::Web},
    telemetry,
};

/// The route of the metrics.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Show the metrics
///
/// In Prometheus's text format. Those of the database are missing where it does not answer.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "showMetrics",
    tag = "Operation",
    responses(
        (
            status = 200,
            description = "All that is counted.",
            body = String,
            content_type = "text/plain",
            example = "# HELP onceward_transactions Transactions by state.\n# TYPE onceward_transactions gauge\nonceward_transactions{state=\"pending\"} 3\n",
        ),
        error_responses::Any,
    ),
)]
async fn show(
    State(gateway): State<Gateway>,
    State(metrics): State<PrometheusHandle>,
) -> impl IntoResponse {
    // What this process tells of itself is wanted most where the database does not answer.
    let of_database = match timeout(PATIENCE, gateway.statistics()).await {
        Ok(Ok(statistics)) => telemetry::metrics::render(&statistics),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the metrics lack those of the database");
            String::new()
        }
        Err(_) => {
            tracing::warn!("the metrics lack those of the database: it takes too long");
            String::new()
        }
    };
    text(metrics.render() + &of_database)
}

/// Metrics as they leave.
pub fn text(metrics: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics)
}
