//! The state of a transaction as a dot and a word. The dot is for scanning a list.

use domain::State;
use leptos::prelude::*;

/// The label of a state.
pub fn state_label(state: State) -> &'static str {
    match state {
        State::Pending => "Pending",
        State::Processing => "Processing",
        State::Completed => "Completed",
        State::Failed => "Failed",
        State::InDoubt => "In doubt",
        State::Rejected => "Rejected",
        State::Cancelled => "Cancelled",
    }
}

/// The state. If it took several attempts to complete, it also shows how many.
#[component]
pub fn StateBadge(
    /// The state.
    state: Signal<State>,
    /// Attempts so far.
    attempts: Signal<u32>,
) -> impl IntoView {
    let retried = move || state.get() == State::Completed && attempts.get() > 1;
    let key = move || if retried() { "retried" } else { state.get().as_str() };
    let key = Signal::derive(move || key().to_owned());
    let word = Signal::derive(move || state_label(state.get()).to_owned());
    let after = Signal::derive(move || retried().then(|| format!("after {}", attempts.get())));
    view! {
        <span class="state" data-state=key>
            <span class="dot" aria-hidden="true"></span>
            <span class="state-label">{word}</span>
            <span class="text-muted">{after}</span>
        </span>
    }
}
