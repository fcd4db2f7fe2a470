//! `GET /metrics`.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use gateway::Gateway;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::timeout;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        MetricsAccess,
        middleware::deadline::DATABASE_TIMEOUT,
        problem::{Problem, error_responses},
        state::WebState,
    },
    telemetry,
};

/// The route of the metrics.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Show the metrics
///
/// In Prometheus's text format. The metrics of the database are missing if it does not answer. `METRICS_ACCESS` decides
/// whether they are open, need the token of `METRICS_TOKEN_FILE` as `Authorization: Bearer`, or are off.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "showMetrics",
    tag = "Operation",
    responses(
        (
            status = 200,
            description = "The metrics.",
            body = String,
            content_type = "text/plain",
            example = "# HELP onceward_transactions Transactions by state.\n# TYPE onceward_transactions gauge\nonceward_transactions{state=\"pending\"} 3\n",
        ),
        error_responses::OfResource,
    ),
)]
async fn show(
    State(gateway): State<Gateway>,
    State(metrics): State<PrometheusHandle>,
    State(access): State<MetricsAccess>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    access.check(&headers)?;
    // The metrics of this process matter most when the database does not answer.
    let of_database = match timeout(DATABASE_TIMEOUT, gateway.statistics()).await {
        Ok(Ok(statistics)) => telemetry::metrics::render(&statistics),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the metrics of the database are missing");
            String::new()
        }
        Err(_) => {
            tracing::warn!("the metrics of the database are missing: it takes too long");
            String::new()
        }
    };
    Ok(text(metrics.render() + &of_database))
}

/// The response with these metrics.
pub fn text(metrics: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics)
}
