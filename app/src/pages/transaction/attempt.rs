//! An attempt, with its verifications below it.

use chrono::{DateTime, Utc};
use domain::{Attempt, Finding, Outcome, Verification};
use leptos::prelude::*;

use crate::components::{
    clock::Clock,
    outside_text::OutsideText,
    time_format,
    timestamp::{AbsoluteTime, TimeOfDay},
};

/// One attempt, in the timeline.
pub fn attempt_event(attempt: Attempt) -> impl IntoView {
    let Attempt { number, started_at, ended_at, outcome, .. } = attempt;
    let status = attempt.http_status.map(status_text);
    view! {
        <li class="event">
            <div class="event-head">
                <span class="text-muted tabular-nums">{format!("#{number}")}</span>
                <span class="state" data-state=outcome.map_or("in_flight", Outcome::as_str)>
                    <span class="dot" aria-hidden="true"></span>
                    <span class="state-label">{outcome_label(outcome)}</span>
                </span>
                {status.map(|status| view! { <span class="tabular-nums">{status}</span> })}
                {attempt
                    .transport_error
                    .map(|text| view! { <span class="break-words"><OutsideText text/></span> })}
                <span class="event-time"><AbsoluteTime at=started_at/> <Elapsed from=started_at to=ended_at/></span>
            </div>
            {attempt
                .answer_excerpt
                .filter(|excerpt| !excerpt.trim().is_empty())
                .map(|text| view! { <pre class="code"><OutsideText text/></pre> })}
            {earlier_verifications(attempt.verification_count, &attempt.verifications)}
            {verification_list(number, attempt.verifications)}
        </li>
    }
}

/// How many verifications came before those that are shown, if any.
fn earlier_verifications(all: u64, shown: &[Verification]) -> impl IntoView + use<> {
    let shown: u64 = shown.iter().map(|it| u64::from(it.count)).sum();
    let earlier = all.saturating_sub(shown);
    (earlier > 0).then(|| {
        view! { <p class="text-muted">{format!("{earlier} earlier verifications are not shown.")}</p> }
    })
}

/// The verifications after an attempt, if any.
pub fn verification_list(number: u32, verifications: Vec<Verification>) -> impl IntoView {
    let label = format!("Verifications after attempt {number}");
    (!verifications.is_empty()).then(|| {
        view! {
            <ol class="verifications" aria-label=label>
                {verifications.into_iter().map(verification).collect_view()}
            </ol>
        }
    })
}

fn verification(verification: Verification) -> impl IntoView {
    let Verification { started_at, ended_at, first_started_at, count, finding, http_status, error } =
        verification;
    let repeated = (count > 1).then(|| {
        let over = time_format::duration(ended_at - first_started_at);
        view! { <span class="text-muted">{format!("{count} times in {over}, the last:")}</span> }
    });
    let answer = error.or(http_status.map(status_text));
    view! {
        <li class="event-head">
            <span class="state" data-state=finding.as_str()>
                <span class="dot" aria-hidden="true"></span>
                "Verification: "
                <span class="state-label">{finding_label(finding)}</span>
            </span>
            {answer.map(|text| view! { <span class="break-words"><OutsideText text/></span> })}
            {repeated}
            <span class="event-time">
                <TimeOfDay at=started_at/>
                <Elapsed from=started_at to=Some(ended_at)/>
            </span>
        </li>
    }
}

/// How long something took, or how long it has taken so far.
#[component]
fn Elapsed(from: DateTime<Utc>, to: Option<DateTime<Utc>>) -> impl IntoView {
    let clock = expect_context::<Clock>();
    let text = Signal::derive(move || match to {
        Some(to) => time_format::duration(to - from),
        None => format!("{} so far", time_format::duration(clock.now() - from)),
    });
    view! { <span class="elapsed">{text}</span> }
}

fn status_text(status: u16) -> String {
    format!("HTTP {status}")
}

fn outcome_label(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Posted) => "posted",
        Some(Outcome::Refused) => "refused",
        Some(Outcome::NotSent) => "not sent",
        Some(Outcome::Unknown) => "outcome unknown",
        None => "in flight",
    }
}

fn finding_label(finding: Finding) -> &'static str {
    match finding {
        Finding::Found => "found",
        Finding::Mismatch => "differs",
        Finding::Absent => "absent",
        Finding::Failed => "failed",
    }
}
