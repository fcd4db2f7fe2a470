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

use super::rate_limit::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::http::{
    problem::{ACCEPTED_ENCODINGS, Problem, RETRY_AFTER_SECONDS, code::Code},
    request::trace_parent,
};

/// The challenge that a 401 must have (RFC 9110, 15.5.2): for a webhook's signature, whose scheme has no registered name.
const SIGNATURE: HeaderValue = HeaderValue::from_static("StandardWebhooks");
/// For a caller without a credential (RFC 6750, 3).
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");
/// For a credential that is not valid.
const INVALID_TOKEN: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

/// Between two lines of the log about requests that failed for the same reason.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Writes the problem document of a response that carries a [`Problem`].
pub async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let trace_parent = trace_parent::of(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let problem = response.extensions_mut().remove::<Problem>();
    let Some(problem) = problem.or_else(|| of_library(&path, &response)) else {
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
    let retry_after_seconds = problem.retry_after_seconds();
    let is_refused = problem.is_refused_credential();
    let document = problem.document(request_id.map(str::to_owned));
    let carried = std::mem::take(response.headers_mut());
    let mut response = (status, Json(document)).into_response();
    let headers = response.headers_mut();
    // The router has set the methods that the path takes, and the limits what is left of them.
    for name in [header::ALLOW, RATE_LIMIT, RATE_LIMIT_POLICY] {
        for value in carried.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        // The rest of the body is not read, so the connection cannot be used again.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::UNAUTHORIZED {
        let challenge = match code {
            Code::Unauthenticated if is_refused => INVALID_TOKEN,
            Code::Unauthenticated => BEARER,
            _ => SIGNATURE,
        };
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if code == Code::UnsupportedContentEncoding {
        headers.insert(header::ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    if let Some(seconds) = retry_after_seconds {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The problem of a path that a library refuses by itself, with a text of its own or none: the documentation's files.
/// JSON is Onceward's own: the errors of OAuth are no problem documents.
fn of_library(path: &str, response: &Response) -> Option<Problem> {
    let media_type = response.headers().get(header::CONTENT_TYPE);
    match response.status() {
        _ if !path.starts_with("/api/") => None,
        _ if media_type.is_some_and(|media_type| media_type == "application/json") => None,
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
