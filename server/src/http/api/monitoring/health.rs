//! The health of the program: `/api/health` for operators and clients, `/livez` and `/readyz` for orchestrators.

use std::{sync::LazyLock, time::Instant};

use axum::{
    Json, Router,
    extract::{FromRef, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::Circuit;
use gateway::{Gateway, Health, OlderThan, Status};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    http::{
        middleware::deadline::DATABASE_TIMEOUT,
        problem::{Document, Problem, RETRY_AFTER_SECONDS, error_responses},
        state::WebState,
    },
    own_postgres::OwnPostgresStatus,
};

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The routes of health. The uptime starts when they are built.
pub fn routes() -> OpenApiRouter<WebState> {
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

/// The health of Onceward.
#[derive(Serialize, ToSchema)]
struct Report {
    /// The status and its basis.
    #[serde(flatten)]
    health: Health,
    /// How long this process has run, in seconds.
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

/// Show the health of Onceward
///
/// From the database, so every process returns the same, and from whether this process can commit. If Onceward is not
/// healthy, `reasons` says why.
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
async fn health(
    State(gateway): State<Gateway>,
    State(own_postgres): State<OwnPostgresStatus>,
) -> Response {
    let (health, commits) =
        tokio::join!(timeout(DATABASE_TIMEOUT, gateway.health()), gateway.check_commits());
    let mut health = match health {
        Ok(Ok(health)) => health,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the health could not be read");
            Health::unreachable()
        }
        Err(_) => {
            tracing::warn!("the health could not be read: the database takes too long");
            Health::unreachable()
        }
    };
    if let Err(fault) = commits {
        health = health.unhealthy(fault.reason());
    }
    if let Some(trouble) = own_postgres.trouble() {
        health = health.unhealthy(&trouble);
    }
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

/// Report that the process is alive
///
/// Whatever the state of the database.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "live",
    tag = "Operation",
    responses(
        (status = 200, description = "The process is alive.", body = String, content_type = "text/plain", example = "alive"),
        error_responses::Any,
    ),
)]
pub async fn live() -> &'static str {
    "alive"
}

/// Report whether requests can be served
///
/// They can if the database answers and commits: what it does not commit cannot be accepted.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = "Operation",
    responses(
        (status = 200, description = "Requests can be served.", body = String, content_type = "text/plain", example = "ready"),
        error_responses::Any,
    ),
)]
async fn ready(State(gateway): State<Gateway>) -> Result<&'static str, Problem> {
    let commits = gateway.check_commits().await;
    commits.map_err(|fault| Problem::unavailable(fault.reason()).of_fault(Some(fault)))?;
    Ok("ready")
}

/// A healthy Onceward.
fn example_of_healthy() -> Value {
    example_report(Health {
        status: Status::Healthy,
        reasons: Vec::new(),
        queue_depth: Some(3),
        in_flight: Some(1),
        retry_count: Some(1),
        in_doubt: Some(0),
        error_rate: Some(0.05),
        verification_failure_rate: Some(0.0),
        oldest_pending_seconds: Some(0.2),
        oldest_unfinished_seconds: Some(75.0),
        unfinished_older_than: Some(
            [(60, 1), (300, 0), (3600, 0)]
                .map(|(seconds, count)| OlderThan { seconds, count })
                .into(),
        ),
        unreadable: Some(0),
        paused: Some(false),
        workers: Some(1),
        circuit: Some(Circuit::Closed),
    })
}

/// A database that does not answer.
fn example_of_unhealthy() -> Value {
    example_report(Health::unreachable())
}

fn example_report(health: Health) -> Value {
    json!(Report { health, uptime: 86_400, version: env!("CARGO_PKG_VERSION") })
}
