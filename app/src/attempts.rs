//! What was done for a transaction: each attempt, and beneath it each verification.

use chrono::{DateTime, Utc};
use domain::{Attempt, Finding, Outcome, Verification};
use leptos::prelude::*;

use crate::{
    clock::Clock,
    queries::Detail,
    time,
    timestamp::{At, TimeOfDay},
};

/// The attempts, first to last.
#[component]
pub fn Attempts(
    /// The transaction with its attempts.
    detail: RwSignal<Detail>,
) -> impl IntoView {
    move || {
        let attempts = detail.read().attempts.clone();
        if attempts.is_empty() {
            return view! { <p class="text-muted">"Nothing has been sent yet."</p> }.into_any();
        }
        view! {
            <ol class="attempts" aria-label="Attempts">
                {attempts.into_iter().map(attempt).collect_view()}
            </ol>
        }
        .into_any()
    }
}

fn attempt(attempt: Attempt) -> impl IntoView {
    let Attempt { number, started_at, ended_at, outcome, .. } = attempt;
    let status = attempt.http_status.map(http);
    view! {
        <li class="attempt">
            <div class="attempt-head">
                <span class="text-muted tabular-nums">{format!("#{number}")}</span>
                <span class="state" data-state=outcome.map_or("under_way", Outcome::as_str)>
                    <span class="dot" aria-hidden="true"></span>
                    <span class="state-word">{outcome_word(outcome)}</span>
                </span>
                {status.map(|status| view! { <span class="tabular-nums">{status}</span> })}
                {attempt
                    .transport_error
                    .map(|error| view! { <span class="break-words">{error}</span> })}
                <span class="attempt-time"><At at=started_at/> <Lasting from=started_at to=ended_at/></span>
            </div>
            {attempt
                .answer_excerpt
                .filter(|excerpt| !excerpt.trim().is_empty())
                .map(|excerpt| view! { <pre class="code">{excerpt}</pre> })}
            {(!attempt.verifications.is_empty())
                .then(|| {
                    let label = format!("Verifications after attempt {number}");
                    view! {
                        <ol class="verifications" aria-label=label>
                            {attempt.verifications.into_iter().map(verification).collect_view()}
                        </ol>
                    }
                })}
        </li>
    }
}

fn verification(verification: Verification) -> impl IntoView {
    let Verification { started_at, ended_at, finding, http_status, error } = verification;
    let answer = error.or(http_status.map(http));
    view! {
        <li class="attempt-head">
            <span class="state" data-state=finding.as_str()>
                <span class="dot" aria-hidden="true"></span>
                "Verification: "
                <span class="state-word">{finding_word(finding)}</span>
            </span>
            {answer.map(|answer| view! { <span class="break-words">{answer}</span> })}
            <span class="attempt-time">
                <TimeOfDay at=started_at/>
                <Lasting from=started_at to=Some(ended_at)/>
            </span>
        </li>
    }
}

/// How long something took, or has taken so far.
#[component]
fn Lasting(from: DateTime<Utc>, to: Option<DateTime<Utc>>) -> impl IntoView {
    let clock = expect_context::<Clock>();
    let text = Signal::derive(move || match to {
        Some(to) => time::lasting(to - from),
        None => format!("{} so far", time::lasting(clock.now() - from)),
    });
    view! { <span class="lasting">{text}</span> }
}

fn http(status: u16) -> String {
    format!("HTTP {status}")
}

fn outcome_word(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Posted) => "posted",
        Some(Outcome::Refused) => "refused",
        Some(Outcome::NotSent) => "not sent",
        Some(Outcome::Unknown) => "outcome unknown",
        None => "under way",
    }
}

fn finding_word(finding: Finding) -> &'static str {
    match finding {
        Finding::Found => "found",
        Finding::Mismatch => "differs",
        Finding::Absent => "absent",
        Finding::Failed => "failed",
    }
}
