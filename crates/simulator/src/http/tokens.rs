//! Access tokens: the token endpoint, and the requests that need a token.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::response::error;
use crate::counters::FaultKind;
use crate::service::Service;

/// `POST /oauth/token`: the client credentials grant (RFC 6749, section 4.4), for any client and any secret.
pub(crate) async fn issue(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    form: String,
) -> Response {
    if !form.split('&').any(|field| field == "grant_type=client_credentials") {
        return error(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let authorization = headers.get(header::AUTHORIZATION);
    if !authorization.is_some_and(|value| value.as_bytes().starts_with(b"Basic ")) {
        return error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let answer = json!({
        "access_token": service.tokens.issue(),
        "token_type": "Bearer",
        "expires_in": 3600,
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// Refuses requests without a valid token, if one is needed. The list of all entries needs none: audits read it.
pub(crate) async fn require(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let lifetime = Duration::from_millis(service.faults().token_lifetime_ms);
    let is_list = request.method() == Method::GET && request.uri().path() == "/transactions";
    let authorization = request.headers().get(header::AUTHORIZATION);
    let token = authorization.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let is_valid = token.is_some_and(|token| service.tokens.is_valid(token, lifetime));
    if lifetime.is_zero() || is_list || is_valid {
        return next.run(request).await;
    }
    service.counters.count_fault(FaultKind::TokenExpired);
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
    (StatusCode::UNAUTHORIZED, challenge, Json(json!({"error": "invalid_token"}))).into_response()
}
