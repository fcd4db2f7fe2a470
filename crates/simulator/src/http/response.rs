//! Responses that the router and the handlers share.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Marks a response that must not reach the client: its connection is reset instead.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionReset;

impl ConnectionReset {
    pub(super) fn response() -> Response {
        let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
        response.extensions_mut().insert(Self);
        response
    }
}

/// A response that says what is wrong.
pub(super) fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": message}))).into_response()
}
