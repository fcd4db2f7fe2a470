//! The status of a transaction, as a sentence.

use chrono::{DateTime, Utc};
use domain::{Finding, Outcome, State, protocol::QUARANTINED};
use leptos::prelude::*;

use crate::{
    components::{clock::Clock, outside_text::OutsideText, time_format},
    feed::LiveFeed,
    server_functions::queries::TransactionDetail,
};

/// What comes next and when, or how the transaction ended; and the error.
#[component]
pub fn StatusSummary(
    /// The transaction with its attempts.
    detail: RwSignal<TransactionDetail>,
) -> impl IntoView {
    let clock = expect_context::<Clock>();
    let live = expect_context::<LiveFeed>();
    let paused = move || live.posting().is_some_and(|posting| posting.paused.is_some());
    let sentence = Signal::derive(move || describe(&detail.read(), clock.now(), paused()));
    // It follows "An operator must resolve it".
    let why = Signal::derive(move || operator_needed(&detail.read()).map(str::to_owned));
    let why = move || why.get().map(|text| view! { ": " <OutsideText text/> "." });
    // In a final state the error is the reason; before, it is only that of the latest attempt.
    let is_final = Signal::derive(move || detail.read().transaction.status.is_final());
    let error = Signal::derive(move || {
        let detail = detail.read();
        // If an operator is needed, the sentence above contains the error.
        detail.transaction.error.clone().filter(|_| operator_needed(&detail).is_none())
    });
    let error = move || {
        let last = (!is_final.get()).then_some("Last error: ");
        error.get().map(|text| view! { {last} <OutsideText text/> })
    };
    let state = Signal::derive(move || detail.read().transaction.status.as_str().to_owned());
    view! {
        <div class="status-summary" data-state=state>
            <p>{sentence} {why}</p>
            <p class="text-muted break-words">{error}</p>
        </div>
    }
}

/// Why only an operator can resolve a transaction, if that is so. A missing due time alone does not
/// mean that: while a verification is in flight, nothing is due either.
fn operator_needed(detail: &TransactionDetail) -> Option<&str> {
    let TransactionDetail { transaction, attempts, .. } = detail;
    let doubt = transaction.status == State::InDoubt && transaction.next_attempt_at.is_none();
    let seen = attempts.last().and_then(|attempt| attempt.verifications.last());
    let differs = seen.is_some_and(|seen| seen.finding == Finding::Mismatch);
    let why = transaction.error.as_deref().unwrap_or("the known facts contradict each other");
    (doubt && (differs || why.starts_with(QUARANTINED))).then_some(why)
}

fn describe(detail: &TransactionDetail, now: DateTime<Utc>, paused: bool) -> String {
    if operator_needed(detail).is_some() {
        return "An operator must resolve it".to_owned();
    }
    let TransactionDetail { transaction, attempts, .. } = detail;
    let last = attempts.last();
    let in_flight = last.is_some_and(|attempt| attempt.outcome.is_none());
    let unknown = last.is_some_and(|attempt| attempt.outcome == Some(Outcome::Unknown));
    let due = transaction.next_attempt_at.map(|at| time_format::until(at, now));
    let attempt_count = match transaction.attempts {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    };
    let took =
        transaction.completed_at.map(|at| time_format::duration(at - transaction.submitted_at));
    let took = took.unwrap_or_default();
    match (transaction.status, due) {
        (State::Pending, Some(due)) if unknown => {
            format!("Outcome unknown, verifying: next check {due}.")
        }
        (State::Pending, _) if paused => "Waiting until posting is resumed.".to_owned(),
        (State::Pending, Some(due)) if attempts.is_empty() => format!("First attempt {due}."),
        (State::Pending, Some(due)) => format!("Next attempt {due}."),
        (State::Pending, None) => "Waiting for its next attempt.".to_owned(),
        (State::Processing, _) if in_flight => {
            format!("Attempt {} is in flight.", last.map_or(1, |last| last.number))
        }
        (State::Processing, _) if unknown => "Outcome unknown, verifying.".to_owned(),
        (State::Processing, _) => "Claimed by a worker.".to_owned(),
        (State::Completed, _) => format!("Posted, {took} after it was submitted."),
        (State::Failed, _) => format!("Not posted, after {attempt_count} and {took}."),
        (State::InDoubt, Some(due)) => {
            format!("In doubt: the outcome is unknown, verifying; next check {due}.")
        }
        (State::InDoubt, None) => "In doubt: the outcome is unknown, verifying.".to_owned(),
        (State::Rejected, _) => "Rejected by screening; nothing was sent.".to_owned(),
        (State::Cancelled, _) => "Cancelled; nothing was sent.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use super::*;

    const START: &str = "2026-01-31T12:00:00Z";

    fn now() -> DateTime<Utc> {
        START.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(2)
    }

    fn detail(
        status: State,
        transaction: Value,
        outcomes: &[Option<Outcome>],
    ) -> TransactionDetail {
        let mut whole = json!({
            "transactionId": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "status": status, "amount": 1,
            "currency": "USD", "submittedAt": START, "attempts": outcomes.len(),
        });
        if let (Value::Object(whole), Value::Object(more)) = (&mut whole, transaction) {
            whole.extend(more);
        }
        let attempts: Vec<_> = (1..)
            .zip(outcomes)
            .map(|(number, outcome)| {
                json!({
                    "number": number, "startedAt": START, "outcome": outcome, "verifications": [],
                    "verificationCount": 0,
                })
            })
            .collect();
        let detail = json!({"transaction": whole, "attempts": attempts, "interventions": []});
        serde_json::from_value(detail).unwrap()
    }

    fn sentence(status: State, transaction: Value, outcomes: &[Option<Outcome>]) -> String {
        describe(&detail(status, transaction, outcomes), now(), false)
    }

    #[test]
    fn a_queued_transaction_says_what_it_waits_for_and_how_long() {
        let due = || json!({"nextAttemptAt": "2026-01-31T12:00:05Z"});
        assert_eq!(sentence(State::Pending, due(), &[]), "First attempt in 3 s.");
        let not_sent = [Some(Outcome::NotSent)];
        assert_eq!(sentence(State::Pending, due(), &not_sent), "Next attempt in 3 s.");
        let unknown = [Some(Outcome::Unknown)];
        assert_eq!(
            sentence(State::Pending, due(), &unknown),
            "Outcome unknown, verifying: next check in 3 s."
        );
        let paused =
            |outcomes: &[_]| describe(&detail(State::Pending, due(), outcomes), now(), true);
        assert_eq!(paused(&not_sent), "Waiting until posting is resumed.");
        assert!(paused(&unknown).starts_with("Outcome unknown, verifying"));
        assert_eq!(
            sentence(State::InDoubt, due(), &unknown),
            "In doubt: the outcome is unknown, verifying; next check in 3 s."
        );
    }

    #[test]
    fn a_transaction_in_flight_says_whether_it_is_posted_or_verified() {
        let sentence = |outcomes: &[_]| sentence(State::Processing, json!({}), outcomes);
        assert_eq!(sentence(&[Some(Outcome::Unknown), None]), "Attempt 2 is in flight.");
        assert_eq!(sentence(&[Some(Outcome::Unknown)]), "Outcome unknown, verifying.");
        assert_eq!(sentence(&[]), "Claimed by a worker.");
    }

    #[test]
    fn a_transaction_that_is_no_longer_verified_says_why_an_operator_must_resolve_it() {
        let sentence = |error: &str, verifications: Value| {
            let error = json!({"error": error});
            let mut detail = detail(State::InDoubt, error, &[Some(Outcome::Unknown)]);
            detail.attempts[0].verifications = serde_json::from_value(verifications).unwrap();
            let why = operator_needed(&detail).map(|why| format!(": {why}."));
            describe(&detail, now(), false) + &why.unwrap_or_default()
        };
        let seen = |finding| {
            json!([{
                "startedAt": START, "endedAt": START, "firstStartedAt": START, "count": 1,
                "finding": finding,
            }])
        };
        assert_eq!(
            sentence("another amount", seen(Finding::Mismatch)),
            "An operator must resolve it: another amount."
        );
        assert_eq!(
            sentence(&format!("{QUARANTINED} 5 times in a row"), json!([])),
            format!("An operator must resolve it: {QUARANTINED} 5 times in a row.")
        );
        // Nothing is due while a verification is in flight, either.
        assert_eq!(
            sentence("the outcome is unknown", seen(Finding::Failed)),
            "In doubt: the outcome is unknown, verifying."
        );
    }

    #[test]
    fn a_final_state_says_how_it_ended_and_after_how_long() {
        let ended = || json!({"completedAt": "2026-01-31T12:00:04.200Z"});
        let posted = [Some(Outcome::Unknown), Some(Outcome::Posted)];
        assert_eq!(
            sentence(State::Completed, ended(), &posted),
            "Posted, 4.20 s after it was submitted."
        );
        let refused = [Some(Outcome::Refused)];
        assert_eq!(
            sentence(State::Failed, ended(), &refused),
            "Not posted, after 1 attempt and 4.20 s."
        );
    }
}
