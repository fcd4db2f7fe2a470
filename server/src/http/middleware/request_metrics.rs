//! Counting requests and taking their time.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::Response,
};
use metrics::{counter, histogram};

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
