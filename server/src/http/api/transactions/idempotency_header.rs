//! The idempotency key of a submission: from the header `Idempotency-Key` or the field `idempotencyKey` of its body.

use axum::{
    extract::Query,
    http::{HeaderMap, HeaderName, Uri},
};
use domain::{
    IdempotencyKey, Submission,
    submission::{BadIdempotencyKey, near_names::means_idempotency_key},
};

use crate::http::{problem::Problem, state::KeyRequired};

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Checks that a submission has a key if the setting requires one.
///
/// # Errors
/// 400 if it has none.
pub fn require(key_required: KeyRequired, submission: &Submission) -> Result<(), Problem> {
    match key_required.0 && submission.idempotency_key.is_none() {
        true => Err(Problem::idempotency_key_missing()),
        false => Ok(()),
    }
}

/// Refuses a header or a query parameter that is probably meant as the key: if it were ignored, a repetition would
/// be another payment.
///
/// # Errors
/// 400 if there is one.
pub fn refuse_misnamed(headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    if let Some(name) = headers.keys().find(|name| means_idempotency_key(name.as_str())) {
        return Err(Problem::idempotency_key_misnamed(&format!("header {name}")));
    }
    let query = Query::<Vec<(String, String)>>::try_from_uri(uri).unwrap_or_default();
    let is_key = |name: &str| {
        means_idempotency_key(name) || name.eq_ignore_ascii_case(IDEMPOTENCY_KEY.as_str())
    };
    match query.iter().find(|(name, _)| is_key(name)) {
        Some((name, _)) => {
            Err(Problem::idempotency_key_misnamed(&format!("query parameter {name}")))
        }
        None => Ok(()),
    }
}

/// Takes the key from the request's header, if there is one.
///
/// # Errors
/// 400 if the header is invalid, or the body has a different key.
pub fn take_from_header(submission: &mut Submission, headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(()) };
    if values.next().is_some() {
        return Err(Problem::bad_idempotency_key("must be given only once"));
    }
    let text = value.to_str().map_err(|_| BadIdempotencyKey::NotVisible);
    let key = text
        .and_then(IdempotencyKey::from_header)
        .map_err(|error| Problem::bad_idempotency_key(&error.to_string()))?;
    if submission.idempotency_key.as_ref().is_some_and(|in_body| *in_body != key) {
        return Err(Problem::bad_idempotency_key("must be the same as the body's idempotencyKey"));
    }
    submission.idempotency_key = Some(key);
    Ok(())
}
