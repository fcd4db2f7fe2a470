//! `GET /` is the dashboard for a browser, and a sign of life for a client that does not ask for HTML.

use axum::{
    Json,
    extract::Request,
    http::{Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::Utc;
use serde_json::json;

use crate::http::request::accept::wants_html;

/// Answers for the page where the client did not ask for one.
pub async fn status_for_programs(request: Request, next: Next) -> Response {
    let asks = request.method() == Method::GET && request.uri().path() == "/";
    if !asks || wants_html(&request) {
        return next.run(request).await;
    }
    let body = json!({ "status": "HEALTHY", "current_time": Utc::now() });
    ([(header::VARY, "accept")], Json(body)).into_response()
}
