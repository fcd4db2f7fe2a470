//! The tabs above the list: each state with its count, as a link that filters the list.

use domain::{Counts, State};
use leptos::prelude::*;

use crate::{
    components::{money::format_count, state_badge::state_label},
    feed::LiveFeed,
    pages::transactions::list_address::list_address,
};

const TABS: [Option<State>; 6] = [
    None,
    Some(State::Pending),
    Some(State::Processing),
    Some(State::Completed),
    Some(State::Failed),
    Some(State::InDoubt),
];

/// The tabs. They are links, because each state has an address of its own.
#[component]
pub fn StateTabs(
    /// The state that the list is filtered by.
    status: Signal<Option<State>>,
    /// The counts when the page was rendered, until newer ones arrive.
    initial: Option<Counts>,
) -> impl IntoView {
    let live = expect_context::<LiveFeed>();
    let counts = move || live.counts().or(initial);
    let tab = move |tab: Option<State>| {
        let count =
            move || counts().map(|counts| tab.map_or(counts.accepted(), |state| counts.of(state)));
        let current = Signal::derive(move || (status.get() == tab).then(|| "page".to_owned()));
        let zero = Signal::derive(move || count() == Some(0));
        let count = Signal::derive(move || count().map(format_count));
        view! {
            <a
                class="tab"
                href=list_address(tab, None)
                data-noscroll=true
                data-state=tab.map(State::as_str)
                aria-current=current
            >
                {tab.map_or("All", state_label)}
                " "
                <span class="tab-count" data-zero=zero>
                    {count}
                </span>
            </a>
        }
    };
    view! {
        <nav class="tabs" aria-label="States">
            {TABS.into_iter().map(tab).collect_view()}
        </nav>
    }
}
