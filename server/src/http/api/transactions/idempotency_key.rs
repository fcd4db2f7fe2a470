//! The key of a submission: from the header `Idempotency-Key`, or the field of that name in its body.

use axum::http::{HeaderMap, HeaderName};
use domain::{IdempotencyKey, Submission, idempotency_key::BadIdempotencyKey};

use crate::http::{problem::Problem, state::KeyRequired};

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Requires a key where a setting says so.
///
/// # Errors
/// 400 where the submission has no key and must have one.
pub fn require(key_required: KeyRequired, submission: &Submission) -> Result<(), Problem> {
    match key_required.0 && submission.idempotency_key.is_none() {
        true => Err(Problem::idempotency_key_missing()),
        false => Ok(()),
    }
}

/// Gives a submission the key of its request's header, where there is one.
///
/// # Errors
/// 400 where the header names no key, or the body names another.
pub fn take_from_header(submission: &mut Submission, headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(()) };
    if values.next().is_some() {
        return Err(Problem::bad_idempotency_key("must be given once"));
    }
    let text = value.to_str().map_err(|_| BadIdempotencyKey::NotVisible);
    let key = text
        .and_then(IdempotencyKey::from_header)
        .map_err(|error| Problem::bad_idempotency_key(&error.to_string()))?;
    if submission.idempotency_key.as_ref().is_some_and(|of_body| *of_body != key) {
        return Err(Problem::bad_idempotency_key("must be the same as the body's idempotencyKey"));
    }
    submission.idempotency_key = Some(key);
    Ok(())
}
