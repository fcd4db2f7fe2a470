//! The header of every page: the name, the live indicator and the warnings.

use domain::{Permission, PostingStatus};
use leptos::prelude::*;

use crate::{
    components::{
        address::address,
        page_context::{Setting, Visitor, may},
        posting_bar::{PauseButton, PostingBar},
    },
    feed::{Connection, LiveFeed},
    server_functions::{plain_form_post::remove_answer_from_address, posting::read_posting_status},
};

/// The bar at the top. Below it are the problems with posting, and the notice that the posting
/// service is simulated.
#[component]
pub fn Header() -> impl IntoView {
    remove_answer_from_address();
    let simulator = expect_context::<Setting>().simulator;
    let Visitor { has_account, .. } = expect_context();
    let live = expect_context::<LiveFeed>();
    let initial = Resource::new_blocking(|| (), |()| read_posting_status());
    let status = move |initial: Option<PostingStatus>| {
        Signal::derive(move || live.posting().or_else(|| initial.clone()))
    };
    let posting = move || {
        Suspend::new(async move {
            let status = status(initial.await.ok());
            view! {
                {may(Permission::Operate).then(|| view! { <PauseButton status/> })}
                <PostingBar status/>
            }
        })
    };
    view! {
        <header>
            <a class="brand" href=address("/")>
                <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
                    <path d="M4 12h11" stroke="currentColor" stroke-width="2.5" stroke-linecap="round"/>
                    <path
                        d="m11 7 5 5-5 5"
                        fill="none"
                        stroke="currentColor"
                        stroke-width="2.5"
                        stroke-linecap="round"
                        stroke-linejoin="round"
                    />
                    <path d="M20.5 5v14" stroke="currentColor" stroke-width="2.5" stroke-linecap="round"/>
                </svg>
                "Onceward"
            </a>
            // The server renders that page without script, so it is no route of the pages here.
            {has_account
                .then(|| {
                    view! {
                        <a class="link account-link" href=address("/account") rel="external">
                            "Account"
                        </a>
                    }
                })}
            <LiveIndicator/>
            <Suspense>{posting}</Suspense>
        {simulator
            .map(|address| {
                view! {
                    <p role="note" class="notice">
                        <strong>"Simulated posting service."</strong>
                        " Transactions go to a deliberately unreliable simulator on "
                        <code>{address}</code>
                        "; no money moves."
                    </p>
                }
            })}
        </header>
    }
}

/// Whether changes arrive. Empty before hydration: no change has arrived or been missed.
#[component]
fn LiveIndicator() -> impl IntoView {
    let live = expect_context::<LiveFeed>();
    let connection = move || match live.connection() {
        Connection::Unopened => ("unopened", ""),
        Connection::Open => ("open", "Live"),
        Connection::Lost => ("lost", "Reconnecting…"),
    };
    let state = Signal::derive(move || connection().0.to_owned());
    let word = Signal::derive(move || connection().1.to_owned());
    view! {
        <p role="status" class="live" data-connection=state>
            <span class="dot" aria-hidden="true"></span>
            {word}
        </p>
    }
}
