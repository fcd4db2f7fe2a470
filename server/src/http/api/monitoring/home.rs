//! `GET /` is the dashboard for a browser, and a short status for a client that does not ask for HTML.

use axum::{
    Json,
    extract::Request,
    http::{Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::Utc;
use serde_json::json;

use crate::http::request::accept::accepts_html;

/// Answers in place of the page if the client does not ask for HTML.
pub async fn status_for_programs(request: Request, next: Next) -> Response {
    let asks = request.method() == Method::GET && request.uri().path() == "/";
    if !asks || accepts_html(&request) {
        return next.run(request).await;
    }
    let body = json!({ "status": "HEALTHY", "current_time": Utc::now() });
    ([(header::VARY, "accept")], Json(body)).into_response()
}
