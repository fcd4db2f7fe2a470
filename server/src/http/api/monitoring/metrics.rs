//! `GET /metrics`, and the counting of requests.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use gateway::Gateway;
use metrics::{counter, histogram};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::timeout;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{Web, middleware::deadline::PATIENCE, problem::error_responses};

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
        Ok(Ok(statistics)) => crate::telemetry::metrics::render(&statistics),
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

/// Counts a request and takes its time.
pub async fn measure(request: Request, next: Next) -> Response {
    let method = known(request.method());
    // Never the path itself: there are as many as there are transactions.
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "unmatched".to_owned(), |route| route.as_str().to_owned());
    let begun = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    histogram!("onceward_http_request_duration_seconds", "method" => method, "route" => route.clone())
        .record(begun.elapsed());
    counter!("onceward_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
    response
}

/// A client may call any method.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
