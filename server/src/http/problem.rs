//! Errors as they leave: problem documents (RFC 9457) with a stable `code` and the request's id.
//! A handler gives a [`Problem`]; [`render`] writes it, and logs it where it is our fault.

use std::any::Any;

use axum::{
    Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::FieldError;
use gateway::{EngineError, InterventionError, SubmitError};
use serde::Serialize;
use tower_http::request_id::RequestId;
use uuid::Uuid;

/// When a client that was turned away may come again, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// An error on its way to a client.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    /// For the log only.
    transaction_id: Option<Uuid>,
    cause: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, code, detail, errors: Vec::new(), transaction_id: None, cause: None }
    }

    /// 400: the request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 422: it can be read, and these fields break rules.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let named: Vec<_> = errors
            .iter()
            .map(|error| format!("{} {}", error.pointer, error.message).trim().to_owned())
            .collect();
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", named.join("; "));
        problem.errors = errors;
        problem
    }

    /// 403: a browser sent it for another site, or to another name.
    pub fn cross_site() -> Self {
        let detail = "requests on behalf of another site, or to another host, are not taken";
        Self::new(StatusCode::FORBIDDEN, "cross_site", detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 404 for a transaction.
    pub fn no_such_transaction() -> Self {
        Self::not_found("there is no transaction with this id")
    }

    /// 404 for a bulk retry.
    pub fn no_such_bulk_retry() -> Self {
        Self::not_found("there is no bulk retry with this id")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let detail = "this path does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// 408.
    pub fn slow_body() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the body took too long to arrive",
        )
    }

    /// 413.
    pub fn too_large(limit_bytes: usize) -> Self {
        let detail = format!("the body must have at most {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// 415.
    pub fn unsupported_media_type() -> Self {
        let detail = "the body must be JSON, with content-type application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 503: come again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// 503: there is too much else to do.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail)
    }

    /// What a change came to that PostgreSQL did not confirm.
    pub fn of_change(error: EngineError) -> Self {
        let is_unknown = error.retryable();
        let mut problem = Self::from(error);
        if is_unknown {
            problem.detail += "; what was asked for may have been done all the same";
        }
        problem
    }

    /// 500.
    pub fn internal(cause: impl Into<String>) -> Self {
        let detail = "something went wrong here; the log has more under the request's id";
        Self {
            cause: Some(cause.into()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
        }
    }

    /// Names the transaction in the log.
    pub fn about(mut self, transaction_id: Option<Uuid>) -> Self {
        self.transaction_id = transaction_id;
        self
    }

    fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.cause = Some(text);
        self
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Database(_) => Self::unavailable(error.to_string()).caused_by(&error),
            EngineError::Unreadable { id, .. } => Self::internal(error.to_string()).about(Some(id)),
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Conflict { pointer } => {
                let mut problem = Self::new(StatusCode::CONFLICT, "conflict", error.to_string());
                let message = "belongs to another transaction with other content";
                problem.errors = vec![FieldError::new(pointer, message)];
                problem
            }
            SubmitError::Overloaded => Self::overloaded(error.to_string()),
            SubmitError::Unconfirmed { .. } => {
                Self::unavailable(error.to_string()).caused_by(&error)
            }
            SubmitError::Query(error) => error.into(),
        }
    }
}

impl From<InterventionError> for Problem {
    fn from(error: InterventionError) -> Self {
        match error {
            InterventionError::NoSuchTransaction => Self::no_such_transaction(),
            InterventionError::NotPermitted(_) => {
                Self::new(StatusCode::CONFLICT, "not_permitted", error.to_string())
            }
            InterventionError::Changing => Self::unavailable(error.to_string()),
            InterventionError::Engine(error) => Self::of_change(error),
        }
    }
}

impl IntoResponse for Problem {
    /// Without a body: [`render`] writes it, for it knows the request.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the problem document of a response that carries a [`Problem`].
pub async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let request_id = id.as_ref().and_then(|id| id.header_value().to_str().ok());
    // What is refused is counted: in a flood, a line for each would cost more than the refusal.
    if problem.status.is_server_error() && problem.code != "overloaded" {
        tracing::error!(
            request_id, %method, path, status = problem.status.as_u16(), code = problem.code,
            transaction_id = problem.transaction_id.map(tracing::field::display),
            cause = problem.cause.as_deref().unwrap_or(&problem.detail),
            "a request failed"
        );
    }
    let document = Document {
        kind: "about:blank",
        title: problem.status.canonical_reason().unwrap_or("Error"),
        status: problem.status.as_u16(),
        detail: &problem.detail,
        code: problem.code,
        request_id,
        errors: &problem.errors,
    };
    let carried = std::mem::take(response.headers_mut());
    let mut response = (problem.status, Json(document)).into_response();
    let headers = response.headers_mut();
    // What the router has said already, such as which methods a path takes.
    if let Some(allow) = carried.get(header::ALLOW) {
        headers.insert(header::ALLOW, allow.clone());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if matches!(problem.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        // The rest of the body is not read, so nothing else can come on this connection.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if problem.status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// What a handler that panicked answers.
pub fn of_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Problem::internal(format!("a handler panicked: {text}")).into_response()
}
