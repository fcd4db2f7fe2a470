//! One transaction: where it stands, in a sentence, and its fields.

use chrono::{DateTime, Utc};
use domain::{Outcome, State};
use leptos::prelude::*;

use crate::{
    clock::Clock, money::Money, queries::Detail, surroundings::Setting, time, timestamp::At,
};

/// Where it stands: what comes next and when, or how it ended; and what went wrong.
#[component]
pub fn Standing(
    /// The transaction with its attempts.
    detail: RwSignal<Detail>,
) -> impl IntoView {
    let clock = expect_context::<Clock>();
    let sentence = Signal::derive(move || standing(&detail.read(), clock.now()));
    // Once it is final, the error is why; before, only what the latest attempt ran into.
    let error = Signal::derive(move || {
        let transaction = &detail.read().transaction;
        let error = transaction.error.as_ref()?;
        Some(if transaction.status.is_final() {
            error.clone()
        } else {
            format!("Last error: {error}")
        })
    });
    let state = Signal::derive(move || detail.read().transaction.status.as_str().to_owned());
    view! {
        <div class="standing" data-state=state>
            <p>{sentence}</p>
            <p class="text-muted break-words">{error}</p>
        </div>
    }
}

/// Every field of a transaction.
#[component]
pub fn Fields(
    /// The transaction with its attempts.
    detail: RwSignal<Detail>,
) -> impl IntoView {
    // What was submitted never changes; the times do once.
    let submitted = detail.read_untracked().transaction.clone();
    let metadata = submitted.metadata.and_then(|metadata| {
        let pretty = serde_json::to_string_pretty(&metadata).ok()?;
        Some(view! { <pre class="code">{pretty}</pre> })
    });
    let money = view! { <Money amount=submitted.amount currency=submitted.currency/> };
    let max_attempts = expect_context::<Setting>().max_attempts;
    let attempts = move || format!("{} of {max_attempts}", detail.read().transaction.attempts);
    let attempts = Signal::derive(attempts);
    let completed_at = move || detail.read().transaction.completed_at.map(|at| view! { <At at/> });
    view! {
        <dl class="fields">
            {field("Amount", Some(money))}
            {field("Reference", submitted.reference)}
            {field("Description", submitted.description)}
            {field("Timestamp", submitted.timestamp.map(|at| view! { <At at/> }))}
            {field("Source account", submitted.source_account)}
            {field("Destination account", submitted.destination_account)}
            {field("Submitted at", Some(view! { <At at=submitted.submitted_at/> }))}
            <dt>"Completed at"</dt>
            <dd>{completed_at}</dd>
            <dt>"Attempts counted"</dt>
            <dd>{attempts}</dd>
            {field("Metadata", metadata)}
        </dl>
    }
}

fn field(name: &'static str, value: Option<impl IntoView + 'static>) -> impl IntoView {
    view! {
        <dt>{name}</dt>
        <dd>{value}</dd>
    }
}

fn standing(detail: &Detail, now: DateTime<Utc>) -> String {
    let Detail { transaction, attempts } = detail;
    let last = attempts.last();
    let under_way = last.is_some_and(|attempt| attempt.outcome.is_none());
    let unknown = last.is_some_and(|attempt| attempt.outcome == Some(Outcome::Unknown));
    let due = transaction.next_attempt_at.map(|at| time::until(at, now));
    let counted = match transaction.attempts {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    };
    let took = transaction.completed_at.map(|at| time::lasting(at - transaction.submitted_at));
    let took = took.unwrap_or_default();
    match (transaction.status, due) {
        (State::Pending, Some(due)) if unknown => {
            format!("Outcome unknown, verifying: next check {due}.")
        }
        (State::Pending, Some(due)) if attempts.is_empty() => format!("First attempt {due}."),
        (State::Pending, Some(due)) => format!("Next attempt {due}."),
        (State::Pending, None) => "Waiting for its next attempt.".to_owned(),
        (State::Processing, _) if under_way => {
            format!("Attempt {} is under way.", attempts.len())
        }
        (State::Processing, _) if unknown => "Outcome unknown, verifying.".to_owned(),
        (State::Processing, _) => "Claimed by a worker.".to_owned(),
        (State::Completed, _) => format!("Posted, {took} after it was submitted."),
        (State::Failed, _) => format!("Not posted, after {counted} and {took}."),
        (State::InDoubt, Some(due)) => {
            format!("Outcome unknown, verifying: no attempts are left; next check {due}.")
        }
        (State::InDoubt, None) => "Outcome unknown, and only a person can find it out.".to_owned(),
        (State::Rejected, _) => "Refused by screening; nothing was sent.".to_owned(),
        (State::Cancelled, _) => "Withdrawn; nothing was sent.".to_owned(),
    }
}
