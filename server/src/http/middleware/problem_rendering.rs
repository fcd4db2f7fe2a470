//! Writes the problem documents of responses, and logs those that are our fault.

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::TraceParent;
use gateway::CommitFault;
use tower_http::request_id::RequestId;

use crate::http::{
    problem::{ACCEPTED_ENCODINGS, Problem, RETRY_AFTER_SECONDS, code::Code},
    request::trace_parent,
};

/// The challenge that a 401 must have (RFC 9110, 15.5.2). The scheme has no registered name.
const CHALLENGE: HeaderValue = HeaderValue::from_static("StandardWebhooks");

/// Between two lines of the log about requests that failed for the same reason.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Writes the problem document of a response that carries a [`Problem`].
pub async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let trace_parent = trace_parent::of(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let problem = response.extensions_mut().remove::<Problem>();
    let Some(problem) = problem.or_else(|| of_library(&path, response.status())) else {
        return response;
    };
    let request_id = id.as_ref().and_then(|id| id.header_value().to_str().ok());
    let (status, code) = (problem.status(), problem.code());
    let repeated = match problem.fault() {
        Some(fault) => repeated(fault),
        None => Some(0),
    };
    if let Some(repeated) = repeated.filter(|_| problem.is_server_fault()) {
        let trace_id = trace_parent.map(TraceParent::trace_id);
        tracing::error!(
            request_id, trace_id, %method, path, status = status.as_u16(), code = code.as_str(),
            transaction_id = problem.transaction_id().map(tracing::field::display),
            cause = problem.cause(), repeated,
            "a request failed"
        );
    }
    let document = problem.document(request_id.map(str::to_owned));
    let carried = std::mem::take(response.headers_mut());
    let mut response = (status, Json(document)).into_response();
    let headers = response.headers_mut();
    // The router has set the methods that the path takes.
    if let Some(allow) = carried.get(header::ALLOW) {
        headers.insert(header::ALLOW, allow.clone());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        // The rest of the body is not read, so the connection cannot be used again.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    if code == Code::UnsupportedContentEncoding {
        headers.insert(header::ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// The problem of a path that a library refuses by itself, with a text of its own or none: the documentation's files.
fn of_library(path: &str, status: StatusCode) -> Option<Problem> {
    match status {
        _ if !path.starts_with("/api/") => None,
        StatusCode::NOT_FOUND => Some(Problem::not_found("no resource exists at this path")),
        StatusCode::BAD_REQUEST => Some(Problem::malformed("the path cannot be read")),
        _ => None,
    }
}

/// How many requests failed for the same reason since the last line about it; `None` if that was a moment ago. While
/// PostgreSQL is down every request fails, and a line for each would hide all others.
fn repeated(fault: CommitFault) -> Option<u64> {
    static LOGGED: Mutex<BTreeMap<CommitFault, (Instant, u64)>> = Mutex::new(BTreeMap::new());
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    match logged.get_mut(&fault) {
        Some((at, count)) if at.elapsed() < LOG_INTERVAL => {
            *count += 1;
            None
        }
        _ => Some(logged.insert(fault, (Instant::now(), 0)).map_or(0, |(_, count)| count)),
    }
}

/// The response to a request whose handler panicked.
pub fn panic_response(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Problem::internal(format!("a handler panicked: {text}")).into_response()
}
