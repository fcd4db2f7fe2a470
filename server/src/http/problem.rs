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
use domain::{FieldError, TraceParent};
use gateway::{EngineError, InterventionError, SubmitError};
use serde::Serialize;
use tower_http::request_id::RequestId;
use uuid::Uuid;

use super::trace_parent;

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

/// A problem as a client reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    /// The status of the answer.
    pub status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
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

    /// 413.
    pub fn too_large(limit_bytes: usize) -> Self {
        let detail = format!("the body must have at most {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// 415.
    pub fn unsupported_media_type(detail: &str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 503: come again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// 500.
    pub fn internal(cause: impl Into<String>) -> Self {
        let detail = "something went wrong here; the log has more under the request's id";
        Self {
            cause: Some(cause.into()),
            ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
        }
    }

    /// 400: the key, as the header or the body has it, is none, or must not be there.
    pub fn bad_idempotency_key(what_is_wrong: &str) -> Self {
        let detail = format!("the Idempotency-Key {what_is_wrong}");
        Self::new(StatusCode::BAD_REQUEST, "idempotency_key_invalid", detail)
    }

    /// 400: there is no key, and there must be one.
    pub fn idempotency_key_missing() -> Self {
        let detail = "every submission must have an Idempotency-Key of its own: the header, or the \
            field idempotencyKey";
        Self::new(StatusCode::BAD_REQUEST, "idempotency_key_missing", detail)
    }

    /// The document that a client gets.
    pub fn document(self, request_id: Option<String>) -> Document {
        Document {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
            request_id,
            errors: self.errors,
        }
    }

    /// Whether it belongs in the log.
    pub fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// What is behind it, for the log.
    pub fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.detail)
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
                let message =
                    "belongs to another transaction, with other content or idempotency key";
                problem.errors = vec![FieldError::new(pointer, message)];
                problem
            }
            SubmitError::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                error.to_string(),
            ),
            SubmitError::Overloaded => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", error.to_string())
            }
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
            InterventionError::Engine(error) => error.into(),
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
    let trace_parent = trace_parent::of(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let request_id = id.as_ref().and_then(|id| id.header_value().to_str().ok());
    if problem.is_ours() {
        let trace_id = trace_parent.map(TraceParent::trace_id);
        tracing::error!(
            request_id, trace_id, %method, path, status = problem.status.as_u16(), code = problem.code,
            transaction_id = problem.transaction_id.map(tracing::field::display),
            cause = problem.cause(),
            "a request failed"
        );
    }
    let status = problem.status;
    let document = problem.document(request_id.map(str::to_owned));
    let carried = std::mem::take(response.headers_mut());
    let mut response = (status, Json(document)).into_response();
    let headers = response.headers_mut();
    // What the router has said already, such as which methods a path takes.
    if let Some(allow) = carried.get(header::ALLOW) {
        headers.insert(header::ALLOW, allow.clone());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        // The rest of the body is not read, so nothing else can come on this connection.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
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
