//! The attempts and interventions of a transaction, in chronological order.

use domain::{Intervened, State, Verification};
use leptos::prelude::*;

use crate::{
    components::{outside_text::OutsideText, state_badge::state_label, timestamp::AbsoluteTime},
    pages::transaction::attempt::{attempt_event, verification_list},
    server_functions::queries::TransactionDetail,
};

/// The timeline, first to last.
#[component]
pub fn Timeline(
    /// The transaction with its attempts and interventions.
    detail: RwSignal<TransactionDetail>,
) -> impl IntoView {
    let events = move || {
        let TransactionDetail { attempts, interventions, .. } = detail.get();
        let mut events = Vec::new();
        for mut one in attempts {
            // A verification after an intervention is shown after it, not below the attempt.
            for boundary in interventions.iter().rev().map(|it| it.at) {
                let (before, after): (Vec<_>, _) =
                    one.verifications.into_iter().partition(|it| it.started_at < boundary);
                one.verifications = before;
                if let Some(first) = after.first().map(|it: &Verification| it.started_at) {
                    let later = verification_list(one.number, after);
                    events.push((first, view! { <li class="event">{later}</li> }.into_any()));
                }
            }
            events.push((one.started_at, attempt_event(one).into_any()));
        }
        events
            .extend(interventions.into_iter().map(|it| (it.at, intervention_event(it).into_any())));
        events.sort_by_key(|(at, _)| *at);
        events.into_iter().map(|(_, event)| event).collect_view()
    };
    let note = Signal::derive(move || match detail.read().attempts.first().map(|it| it.number) {
        None => Some("Nothing has been sent yet.".to_owned()),
        Some(1) => None,
        Some(number) => Some(format!("{} earlier attempts are not shown.", number - 1)),
    });
    view! {
        <p class="text-muted not-empty:mb-2">{note}</p>
        <ol class="timeline" aria-label="Timeline">
            {events}
        </ol>
    }
}

fn intervention_event(intervened: Intervened) -> impl IntoView {
    let Intervened { at, principal, action, from_status, to_status, reason } = intervened;
    let done = match action.as_str() {
        "cancel" => "Cancelled",
        "retry" => "Retried",
        "resolve" => "Resolved",
        other => other,
    };
    let word =
        |state: String| state.parse::<State>().map_or(state, |it| state_label(it).to_owned());
    let change = from_status.zip(to_status).map(|(from, to)| {
        view! { <span class="text-muted">{word(from)} " → " {word(to)}</span> }
    });
    view! {
        <li class="event event-intervention">
            <div class="event-head">
                <span><strong class="font-medium">{done.to_owned()}</strong> " by " <OutsideText text=principal/></span>
                {change}
                <span class="event-time"><AbsoluteTime at/></span>
            </div>
            {reason.map(|text| view! { <p class="break-words">"“" <OutsideText text/> "”"</p> })}
        </li>
    }
}
