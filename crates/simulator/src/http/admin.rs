//! Health, cleanup, and the admin interface: faults and audit.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use super::response::error;
use crate::audit::Audit;
use crate::faults::Faults;
use crate::service::Service;

/// `GET /health`
pub(crate) async fn health() -> Json<Value> {
    Json(json!({
        "status": "healthy",
        "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// `POST /cleanup`
pub(crate) async fn cleanup(State(service): State<Arc<Service>>) -> Response {
    match service.cleanup().await {
        Ok(count) => Json(json!({"count": count})).into_response(),
        Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string()),
    }
}

/// `GET /admin/audit`
pub(crate) async fn audit(State(service): State<Arc<Service>>) -> Json<Audit> {
    Json(service.audit())
}

/// `GET /admin/faults`
pub(crate) async fn faults(State(service): State<Arc<Service>>) -> Json<Faults> {
    Json(service.faults())
}

/// `PUT /admin/faults`: takes all fields or some, and returns all of them with their new values.
pub(crate) async fn change_faults(State(service): State<Arc<Service>>, body: Bytes) -> Response {
    let changes = match domain::json::read(&body) {
        Ok(Value::Object(changes)) => changes,
        Ok(_) => return error(StatusCode::BAD_REQUEST, "the body is not a JSON object"),
        Err(unreadable) => {
            return error(StatusCode::BAD_REQUEST, &format!("the body {unreadable}"));
        }
    };
    match service.change_faults(|faults| faults.with_changes(&changes)) {
        Ok(faults) => Json(faults).into_response(),
        Err(refused) => {
            let body = json!({"error": refused.to_string(), "field": refused.field()});
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    }
}
