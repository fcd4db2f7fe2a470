//! Errors as they leave: problem documents (RFC 9457) with a stable `code` and the request's id.
//! A handler gives a [`Problem`]; `middleware::problem_rendering` writes it, and logs it where it is our fault.

pub mod code;
pub mod error_responses;

use axum::{
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use domain::FieldError;
use gateway::{EngineError, InterventionError, SubmitError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use code::Code;

/// When a client that was turned away may come again, in seconds.
pub const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// An error on its way to a client.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    /// The id under which it may be stored, and may be sent again.
    unconfirmed_id: Option<Uuid>,
    /// For the log only.
    transaction_id: Option<Uuid>,
    cause: Option<String>,
}

/// Why a request was not carried out (RFC 9457).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct Document {
    /// Always `about:blank`: go by `code`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong, in words, for people.
    detail: String,
    code: Code,
    /// The request's id, as in `X-Request-Id`: what to search the log for.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Where PostgreSQL did not confirm a submission in time: the id under which it may be stored. Sent again
    /// with it, it is stored once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    transaction_id: Option<Uuid>,
    /// Each field that breaks a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl Problem {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            code,
            detail,
            errors: Vec::new(),
            unconfirmed_id: None,
            transaction_id: None,
            cause: None,
        }
    }

    /// 400: the request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, detail)
    }

    /// 400: an object has a member that none may have; `pointer` leads to it.
    pub fn refused_member(pointer: String, why: &str) -> Self {
        let errors = vec![FieldError::new(pointer.clone(), why)];
        Self { errors, ..Self::malformed(format!("{pointer} {why}")) }
    }

    /// 422: it can be read, and these fields break rules.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let named: Vec<_> = errors
            .iter()
            .map(|error| format!("{} {}", error.pointer, error.message).trim().to_owned())
            .collect();
        let mut problem = Self::new(Code::ValidationFailed, named.join("; "));
        problem.errors = errors;
        problem
    }

    /// 409: what the field at `pointer` names is another transaction's; `message` follows the field's name.
    pub fn conflict(
        pointer: &'static str,
        message: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let errors = vec![FieldError::new(pointer, message)];
        Self { errors, ..Self::new(Code::Conflict, detail) }
    }

    /// 403: a browser sent it for another site, or to another name.
    pub fn cross_site() -> Self {
        let detail = "requests on behalf of another site, or to another host, are not taken";
        Self::new(Code::CrossSite, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
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
        Self::new(Code::MethodNotAllowed, detail)
    }

    /// 408.
    pub fn slow_body() -> Self {
        Self::new(Code::RequestTimeout, "the body took too long to arrive")
    }

    /// 413.
    pub fn too_large(limit_bytes: usize) -> Self {
        let detail = format!("the body must have at most {limit_bytes} bytes");
        Self::new(Code::TooLarge, detail)
    }

    /// 401: a webhook is not believed.
    pub fn unsigned(code: Code, detail: impl Into<String>) -> Self {
        Self::new(code, detail)
    }

    /// 415 where only JSON is taken.
    pub fn no_json() -> Self {
        Self::unsupported_media_type("the body must be JSON, with content-type application/json")
    }

    /// 415.
    pub fn unsupported_media_type(detail: &str) -> Self {
        Self::new(Code::UnsupportedMediaType, detail)
    }

    /// 503: come again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, detail)
    }

    /// 503: there is too much else to do.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(Code::Overloaded, detail)
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
        Self { cause: Some(cause.into()), ..Self::new(Code::Internal, detail) }
    }

    /// 400: the key, as the header or the body has it, is none, or must not be there.
    pub fn bad_idempotency_key(what_is_wrong: &str) -> Self {
        let detail = format!("the Idempotency-Key {what_is_wrong}");
        Self::new(Code::IdempotencyKeyInvalid, detail)
    }

    /// 400: there is no key, and there must be one.
    pub fn idempotency_key_missing() -> Self {
        let detail = "every submission must have an Idempotency-Key of its own: the header, or the \
            field idempotencyKey";
        Self::new(Code::IdempotencyKeyMissing, detail)
    }

    /// Whether it belongs in the log. What is refused is counted: in a flood, a line for each would cost
    /// more than the refusal.
    pub fn is_ours(&self) -> bool {
        self.code.status().is_server_error() && self.code != Code::Overloaded
    }

    /// What kind of problem it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// The transaction that the log names.
    pub fn transaction_id(&self) -> Option<Uuid> {
        self.transaction_id
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

    /// The document that a client gets.
    pub fn document(self, request_id: Option<String>) -> Document {
        let status = self.code.status();
        Document {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.detail,
            code: self.code,
            request_id,
            transaction_id: self.unconfirmed_id,
            errors: self.errors,
        }
    }

    /// Tells the log what is behind it.
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
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
            SubmitError::Conflict { pointer } => Self::conflict(
                pointer,
                "belongs to another transaction, with other content or idempotency key",
                error.to_string(),
            ),
            SubmitError::KeyReused => Self::new(Code::IdempotencyKeyReused, error.to_string()),
            SubmitError::Overloaded => Self::overloaded(error.to_string()),
            SubmitError::Unconfirmed { id, .. } => {
                let mut problem = Self::unavailable(error.to_string()).caused_by(&error);
                problem.unconfirmed_id = Some(id);
                problem
            }
            SubmitError::Query(error) => error.into(),
        }
    }
}

impl From<InterventionError> for Problem {
    fn from(error: InterventionError) -> Self {
        match error {
            InterventionError::NoSuchTransaction => Self::no_such_transaction(),
            InterventionError::NotPermitted(_) => Self::new(Code::NotPermitted, error.to_string()),
            InterventionError::Changing => Self::unavailable(error.to_string()),
            InterventionError::Engine(error) => Self::of_change(error),
        }
    }
}

impl IntoResponse for Problem {
    /// Without a body: `middleware::problem_rendering` writes it, for it knows the request.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
