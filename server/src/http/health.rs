//! How the program is doing: `/api/health` for people and clients, `/livez` and `/readyz` for
//! orchestrators.

use std::{sync::LazyLock, time::Instant};

use axum::{
    Json, Router,
    extract::{FromRef, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use gateway::{Gateway, Health, Status};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Web, deadline::PATIENCE, problem::Problem};

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The routes of health. Building them marks the start of the uptime.
pub fn routes() -> Router<Web> {
    LazyLock::force(&STARTED);
    probes().route("/api/health", get(health))
}

/// The routes for orchestrators.
pub fn probes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Gateway: FromRef<S>,
{
    Router::new().route("/livez", get(async || "alive")).route("/readyz", get(ready))
}

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
    let mut body = json!(health);
    if let Value::Object(body) = &mut body {
        body.insert("uptime".to_owned(), json!(STARTED.elapsed().as_secs()));
        body.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    }
    (status, Json(body)).into_response()
}

async fn ready(State(gateway): State<Gateway>) -> Result<&'static str, Problem> {
    gateway.ping().await?;
    Ok("ready")
}
