//! Counts requests and measures their duration.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};
use metrics::{counter, histogram};

/// Counts a request and measures its duration.
pub async fn measure(request: Request, next: Next) -> Response {
    let method = label(request.method());
    // The route, never the path: there are as many paths as transactions.
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "unmatched".to_owned(), |route| route.as_str().to_owned());
    let started_at = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    histogram!("onceward_http_request_duration_seconds", "method" => method, "route" => route.clone())
        .record(started_at.elapsed());
    counter!("onceward_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
    response
}

/// The label of a method: a client may send any name.
fn label(method: &Method) -> &'static str {
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
