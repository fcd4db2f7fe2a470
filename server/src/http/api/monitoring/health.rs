//! How the program is doing: `/api/health` for people and clients, `/livez` and `/readyz` for
//! orchestrators.

use std::{sync::LazyLock, time::Instant};

use axum::{
    Json, Router,
    extract::{FromRef, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::Circuit;
use gateway::{Gateway, Health, Status};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    middleware::deadline::PATIENCE,
    problem::{Document, Problem, RETRY_AFTER_SECONDS, error_responses},
    state::Web,
};

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The routes of health. Building them marks the start of the uptime.
pub fn routes() -> OpenApiRouter<Web> {
    LazyLock::force(&STARTED);
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(live)).routes(routes!(ready))
}

/// The routes for orchestrators.
pub fn probes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Gateway: FromRef<S>,
{
    Router::new().route("/livez", get(live)).route("/readyz", get(ready))
}

/// How Onceward is doing.
#[derive(Serialize, ToSchema)]
struct Report {
    /// The verdict, and what it rests on.
    #[serde(flatten)]
    health: Health,
    /// For how long this process has run, in seconds.
    uptime: u64,
    /// Onceward's version.
    version: &'static str,
}

impl From<Health> for Report {
    fn from(health: Health) -> Self {
        let uptime = STARTED.elapsed().as_secs();
        Self { health, uptime, version: env!("CARGO_PKG_VERSION") }
    }
}

/// Show how Onceward is doing
///
/// From the tables alone, so every process gives the same answer. Where it is not healthy, `reasons` says why.
#[utoipa::path(
    get,
    path = "/api/health",
    operation_id = "showHealth",
    tag = "Operation",
    responses(
        error_responses::Any,
        (status = 200, description = "Transactions are accepted.", body = Report, example = json!(example_of_healthy())),
        (
            status = 503,
            description = "Transactions cannot be accepted.",
            content(
                (Report = "application/json", example = json!(example_of_unhealthy())),
                (Document = "application/problem+json"),
            ),
        ),
    ),
)]
async fn health(State(gateway): State<Gateway>) -> Response {
    let health = match timeout(PATIENCE, gateway.health()).await {
        Ok(Ok(health)) => health,
        Ok(Err(error)) => {
            tracing::warn!(%error, "health is unknown");
            Health::unreachable()
        }
        Err(_) => {
            tracing::warn!("health is unknown: the database takes too long");
            Health::unreachable()
        }
    };
    let status = match health.status {
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        Status::Healthy | Status::Degraded => StatusCode::OK,
    };
    let mut response = (status, Json(Report::from(health))).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// Say that the process is alive
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "live",
    tag = "Operation",
    responses(
        (status = 200, description = "It is.", body = String, content_type = "text/plain", example = "alive"),
        error_responses::Any,
    ),
)]
async fn live() -> &'static str {
    "alive"
}

/// Say whether requests can be taken
///
/// That is, whether the database answers.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = "Operation",
    responses(
        (status = 200, description = "They can.", body = String, content_type = "text/plain", example = "ready"),
        error_responses::Any,
    ),
)]
async fn ready(State(gateway): State<Gateway>) -> Result<&'static str, Problem> {
    gateway.ping().await?;
    Ok("ready")
}

/// All is well.
fn example_of_healthy() -> Value {
    example_report(Health {
        status: Status::Healthy,
        reasons: Vec::new(),
        queue_depth: Some(3),
        in_flight: Some(1),
        retry_count: Some(1),
        in_doubt: Some(0),
        error_rate: Some(0.05),
        oldest_pending_seconds: Some(0.2),
        paused: Some(false),
        workers: Some(1),
        circuit: Some(Circuit::Closed),
    })
}

/// The database does not answer.
fn example_of_unhealthy() -> Value {
    example_report(Health::unreachable())
}

fn example_report(health: Health) -> Value {
    json!(Report { health, uptime: 86_400, version: env!("CARGO_PKG_VERSION") })
}
