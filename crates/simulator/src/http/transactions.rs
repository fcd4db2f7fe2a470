//! The posting service itself: post, get by id, list.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Number, json};

use super::response::{ConnectionReset, error};
use crate::counters::FaultKind;
use crate::entry::{Entry, Submission};
use crate::fault_draw::{self, LookupFate, PostFate, WrongSuccess};
use crate::faults::Faults;
use crate::ledger::WriteError;
use crate::service::Service;

/// How many entries of the list are written as JSON at a time.
const LIST_CHUNK: usize = 500;

/// `POST /transactions`
pub(crate) async fn post(State(service): State<Arc<Service>>, body: Bytes) -> Response {
    let submission = match Submission::from_json(&body) {
        Ok(submission) => submission,
        Err(invalid) => {
            service.counters.count_invalid();
            return error(StatusCode::BAD_REQUEST, &invalid.to_string());
        }
    };
    let work = service.run_on(execute(Arc::clone(&service), submission));
    // After a panic in the task, or a stop, there is no answer to send.
    work.await.ok().flatten().unwrap_or_else(ConnectionReset::response)
}

/// One POST, from the draw of its fate to its answer.
async fn execute(service: Arc<Service>, submission: Submission) -> Response {
    service.counters.count_post();
    let faults = service.faults();
    let nth = service.posts_before(&submission.id);
    let plan = fault_draw::post(service.seed, &submission.id, nth, &faults);
    let count = |kind| service.counters.count_fault(kind);

    match plan.fate {
        PostFate::RateLimited => {
            count(FaultKind::RateLimit);
            return rate_limited(&faults);
        }
        PostFate::Refused => {
            count(FaultKind::Refusal);
            let reason = "this transaction is refused, and every repetition of it will be";
            return error(StatusCode::UNPROCESSABLE_ENTITY, reason);
        }
        _ => service.pause(plan.latency_ms).await,
    }

    match plan.fate {
        PostFate::ResetBeforeWrite => {
            count(FaultKind::ResetBeforeWrite);
            return ConnectionReset::response();
        }
        PostFate::FailBeforeWrite => {
            count(FaultKind::PreWriteFailure);
            return failed();
        }
        PostFate::Hang => {
            count(FaultKind::Hang);
            service.pause(faults.hang_ms).await;
            return ConnectionReset::response();
        }
        PostFate::LateWrite => {
            count(FaultKind::LateWrite);
            write_later(&service, submission, faults.late_write_delay_ms);
            return ConnectionReset::response();
        }
        PostFate::Accepted => {
            count(FaultKind::Accepted);
            write_later(&service, submission, faults.late_write_delay_ms);
            return accepted();
        }
        PostFate::AcceptedLost => {
            count(FaultKind::AcceptedLost);
            return accepted();
        }
        PostFate::WrongSuccess(wrong) => {
            count(FaultKind::WrongSuccess);
            return no_confirmation(&submission, wrong);
        }
        _ => {}
    }

    let entry = match service.ledger.append(submission).await {
        Ok(entry) => entry,
        Err(WriteError::Closed) => return ConnectionReset::response(),
        Err(WriteError::Io(_)) => return failed(),
    };
    match plan.fate {
        PostFate::ResetAfterWrite => {
            count(FaultKind::ResetAfterWrite);
            ConnectionReset::response()
        }
        PostFate::FailAfterWrite => {
            count(FaultKind::PostWriteFailure);
            failed()
        }
        PostFate::Garbage => {
            count(FaultKind::Garbage);
            garbage()
        }
        _ if faults.says_little => (StatusCode::CREATED, Json(json!({}))).into_response(),
        _ => (StatusCode::CREATED, stored(&entry)).into_response(),
    }
}

/// Writes the row after the delay; at once if a graceful shutdown begins, and never if a cleanup
/// comes first.
fn write_later(service: &Arc<Service>, submission: Submission, delay_ms: u64) {
    let pending = service.counters.late_write();
    let epoch = service.epoch();
    let late = Arc::clone(service);
    service.run_on(async move {
        let due = epoch.run_until_cancelled(late.pause(delay_ms)).await;
        if due.is_some()
            && let Some(written) = late.append_within(&epoch, submission)
            && let Err(error) = written.await
        {
            tracing::error!(%error, "a late write is lost");
        }
        drop(pending);
    });
}

/// `GET /transactions/{id}`
pub(crate) async fn get_by_id(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
) -> Response {
    service.counters.count_get();
    let faults = service.faults();
    let plan = fault_draw::lookup(service.seed, &id, service.gets_before(&id), &faults);
    if plan.fate == LookupFate::RateLimited {
        service.counters.count_fault(FaultKind::RateLimit);
        return rate_limited(&faults);
    }
    service.pause(plan.latency_ms).await;
    match plan.fate {
        LookupFate::Fail => {
            service.counters.count_fault(FaultKind::VerificationFailure);
            return failed();
        }
        LookupFate::Garbage => {
            service.counters.count_fault(FaultKind::VerificationGarbage);
            return garbage();
        }
        LookupFate::RateLimited | LookupFate::Clean => {}
    }
    match service.ledger.first(&id) {
        Some(entry) if entry.is_older_than(faults.visibility_lag_ms) => match faults.says_little {
            true => Json(json!({"id": entry.id})).into_response(),
            false => stored(&entry).into_response(),
        },
        Some(_) => {
            service.counters.count_fault(FaultKind::VisibilityLag);
            not_found()
        }
        None => not_found(),
    }
}

/// `GET /transactions`: the whole ledger, written in chunks, since it can be long.
pub(crate) async fn list(State(service): State<Arc<Service>>) -> Response {
    let entries = service.ledger.entries();
    let mut written = Some(0);
    let chunks = std::iter::from_fn(move || {
        let start = written?;
        let end = entries.len().min(start + LIST_CHUNK);
        let mut json = Vec::new();
        if start == 0 {
            json.extend_from_slice(br#"{"data":["#);
        }
        for (position, entry) in (start..end).zip(&entries[start..end]) {
            if position > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&entry.json);
        }
        written = (end < entries.len()).then_some(end);
        if written.is_none() {
            json.extend_from_slice(b"]}");
        }
        Some(Ok::<_, Infallible>(Bytes::from(json)))
    });
    let body = Body::from_stream(stream::iter(chunks));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn stored(entry: &Entry) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "application/json")], entry.json.clone())
}

fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "no such transaction")
}

/// The same before a write and after it: a client must not be able to tell which it was.
fn failed() -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, "internal server error")
}

fn rate_limited(faults: &Faults) -> Response {
    let retry_after = faults.retry_after_seconds.to_string();
    let body = Json(json!({"error": "too many requests"}));
    let header = [(header::RETRY_AFTER, retry_after)];
    (StatusCode::TOO_MANY_REQUESTS, header, body).into_response()
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({"status": "accepted"}))).into_response()
}

/// A success that is no confirmation: nothing was saved.
fn no_confirmation(submission: &Submission, wrong: WrongSuccess) -> Response {
    let Submission { id, amount, currency, .. } = submission;
    let entry = json!({"id": id, "amount": amount, "currency": currency});
    Json(match wrong {
        WrongSuccess::Error => json!({"error": "nothing was saved"}),
        WrongSuccess::List => json!([entry]),
        WrongSuccess::OtherId => {
            let other = "00000000-0000-4000-8000-000000000000";
            json!({"id": other, "amount": amount, "currency": currency})
        }
        WrongSuccess::OtherAmount => {
            // One digit more is another amount, whatever the amount is.
            let other: Option<Number> = format!("1{amount}").parse().ok();
            json!({"id": id, "amount": other, "currency": currency})
        }
    })
    .into_response()
}

fn garbage() -> Response {
    let body = "<html><body><h1>It works!</h1></body></html>";
    ([(header::CONTENT_TYPE, "text/html")], body).into_response()
}
