//! Problems: errors on their way to a client, their codes, and the error responses that routes document.
//!
//! A handler returns a [`Problem`]. `middleware::problem_rendering` writes its document (RFC 9457), and logs it if it is
//! a fault of the server.

pub mod code;
pub mod error_responses;
mod of_errors;

use std::{num::NonZeroU32, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use domain::FieldError;
use gateway::{CommitFault, EngineError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use code::Code;

/// When a client that was refused may retry, in seconds.
pub const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The codings of a request's body that are decoded.
pub const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, br");

/// An error on its way to a client.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    /// The id under which an unconfirmed submission may be stored, and with which it may be repeated.
    unconfirmed_id: Option<Uuid>,
    /// When the client may try again, if that is not soon.
    retry_after_seconds: Option<NonZeroU32>,
    /// For the log only.
    transaction_id: Option<Uuid>,
    cause: Option<String>,
    fault: Option<CommitFault>,
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
    /// The status of the response.
    pub status: u16,
    /// What is wrong, as a text for people.
    detail: String,
    code: Code,
    /// The request's id, as in `X-Request-Id`, by which the log can be searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Present if PostgreSQL did not confirm a submission in time: the id under which it may be stored. If it is
    /// repeated with this id, it is stored once.
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
            retry_after_seconds: None,
            transaction_id: None,
            cause: None,
            fault: None,
        }
    }

    /// 400: the request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Code::Malformed, detail)
    }

    /// 400: an object has a forbidden member; `pointer` leads to it.
    pub fn refused_member(pointer: String, why: &str) -> Self {
        let errors = vec![FieldError::new(pointer.clone(), why)];
        Self { errors, ..Self::malformed(format!("{pointer} {why}")) }
    }

    /// 422: the request can be read, but these fields break rules.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let named: Vec<_> = errors
            .iter()
            .map(|error| format!("{} {}", error.pointer, error.message).trim().to_owned())
            .collect();
        let mut problem = Self::new(Code::ValidationFailed, named.join("; "));
        problem.errors = errors;
        problem
    }

    /// 409: the value of the field at `pointer` belongs to something else; `message` follows the field's name.
    pub fn conflict(
        pointer: &'static str,
        message: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let errors = vec![FieldError::new(pointer, message)];
        Self { errors, ..Self::new(Code::Conflict, detail) }
    }

    /// 403: a browser sent it on behalf of another site, or to another host.
    pub fn cross_site() -> Self {
        let detail = "requests on behalf of another site, or to another host, are refused";
        Self::new(Code::CrossSite, detail)
    }

    /// 401: there is no credential, or it is not valid; why, for the log and the audit only.
    pub fn unauthenticated(refused: Option<String>) -> Self {
        let detail = match refused {
            None => {
                "a credential is required: send Authorization: Bearer with an API key or a token"
            }
            Some(_) => "the credential is not valid",
        };
        Self { cause: refused, ..Self::new(Code::Unauthenticated, detail) }
    }

    /// 403: the caller's role does not permit it.
    pub fn forbidden() -> Self {
        Self::new(Code::Forbidden, "your role does not permit this")
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// 404 for a transaction.
    pub fn no_such_transaction() -> Self {
        Self::not_found("no transaction has this id")
    }

    /// 404 for a bulk retry.
    pub fn no_such_bulk_retry() -> Self {
        Self::not_found("no bulk retry has this id")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let detail = "this path does not support this method";
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

    /// 401: a webhook has no valid signature.
    pub fn unsigned(code: Code, detail: impl Into<String>) -> Self {
        Self::new(code, detail)
    }

    /// 415: the body is not JSON.
    pub fn not_json() -> Self {
        Self::unsupported_media_type("the body must be JSON, with content-type application/json")
    }

    /// 415.
    pub fn unsupported_media_type(detail: &str) -> Self {
        Self::new(Code::UnsupportedMediaType, detail)
    }

    /// 415: the body's coding is not among [`ACCEPTED_ENCODINGS`].
    pub fn unsupported_encoding() -> Self {
        let detail = "the content-encoding of a body must be gzip or br, or there must be none";
        Self::new(Code::UnsupportedContentEncoding, detail)
    }

    /// 429: the client may try again after this time.
    pub fn rate_limited(detail: impl Into<String>, retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let retry_after_seconds = Some(NonZeroU32::new(seconds).unwrap_or(NonZeroU32::MIN));
        Self { retry_after_seconds, ..Self::new(Code::RateLimited, detail) }
    }

    /// 503: the client may retry.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, detail)
    }

    /// 503: the process is still starting.
    pub fn starting(waits_for: &str) -> Self {
        Self::new(Code::Starting, format!("Onceward is starting: {waits_for}"))
    }

    /// 503: load shedding.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(Code::Overloaded, detail)
    }

    /// An error of a change: if PostgreSQL did not confirm it, the detail says so.
    pub fn of_change(error: EngineError) -> Self {
        let is_unconfirmed = error.retryable() && !error.is_refusal();
        let mut problem = Self::from(error);
        if is_unconfirmed {
            problem.detail += "; the change may still have taken effect";
        }
        problem
    }

    /// 500.
    pub fn internal(cause: impl Into<String>) -> Self {
        let detail = "an internal error occurred; the log has details under the request's id";
        Self { cause: Some(cause.into()), ..Self::new(Code::Internal, detail) }
    }

    /// 400: the idempotency key of the header or the body is invalid or not allowed.
    pub fn bad_idempotency_key(fault: &str) -> Self {
        let detail = format!("the Idempotency-Key {fault}");
        Self::new(Code::IdempotencyKeyInvalid, detail)
    }

    /// 400: the idempotency key is missing.
    pub fn idempotency_key_missing() -> Self {
        let detail = "every submission must have an Idempotency-Key of its own: the header, or the \
            field idempotencyKey";
        Self::new(Code::IdempotencyKeyMissing, detail)
    }

    /// 400: `what` is probably meant as the idempotency key.
    pub fn idempotency_key_misnamed(what: &str) -> Self {
        let detail = format!(
            "the {what} is not read; send the idempotency key as the header Idempotency-Key, or as the field \
             idempotencyKey of the body"
        );
        Self::new(Code::IdempotencyKeyMisnamed, detail)
    }

    /// Whether it belongs in the log. Load shedding is only counted: in a flood, logging a refusal would cost more than
    /// the refusal. What the start waits for is in the log already.
    pub fn is_server_fault(&self) -> bool {
        let is_logged = !matches!(self.code, Code::Overloaded | Code::Starting);
        self.code.status().is_server_error() && is_logged
    }

    /// Whether a credential was sent, and is not valid.
    pub fn is_refused_credential(&self) -> bool {
        self.code == Code::Unauthenticated && self.cause.is_some()
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// When the client may try again, in whole seconds, if that is not soon.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.retry_after_seconds.map(NonZeroU32::get)
    }

    /// The transaction that the log names.
    pub fn transaction_id(&self) -> Option<Uuid> {
        self.transaction_id
    }

    /// Its cause, for the log.
    pub fn cause(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.detail)
    }

    /// The fault of PostgreSQL that caused it: the log has one line in a while for all that it causes.
    pub fn fault(&self) -> Option<CommitFault> {
        self.fault
    }

    /// Records the fault of PostgreSQL that caused it.
    pub fn of_fault(mut self, fault: Option<CommitFault>) -> Self {
        self.fault = fault;
        self
    }

    /// Names the transaction in the log.
    pub fn about(mut self, transaction_id: Option<Uuid>) -> Self {
        self.transaction_id = transaction_id;
        self
    }

    /// The document for the client.
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

    /// Records the cause for the log.
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

/// 422.
impl From<Vec<FieldError>> for Problem {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::invalid(errors)
    }
}

impl IntoResponse for Problem {
    /// Without a body: `middleware::problem_rendering` writes it, because it knows the request.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
