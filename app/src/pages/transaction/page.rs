//! `/transactions/{id}`: one transaction with its attempts and interventions.

use std::time::Duration;

use domain::Transaction;
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_params_map;
use uuid::Uuid;

use crate::{
    components::{
        address::address,
        error_message::ErrorMessage,
        short_id::short_id,
        state_badge::{StateBadge, state_label},
    },
    feed::{FeedEvent, LiveFeed},
    pages::{
        not_found::NotFoundPage,
        transaction::{
            copy_button::CopyButton, fields::Fields, interventions::Interventions,
            status::StatusSummary, timeline::Timeline,
        },
    },
    server_functions::queries::{TransactionDetail, find_transaction},
};

/// A connection can be lost without notice, so the page reloads the transaction this often until its
/// state is final.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// One transaction, or 404 if there is none with this id.
#[component]
pub fn TransactionPage() -> impl IntoView {
    let params = use_params_map();
    let detail = Resource::new_blocking(
        move || params.read().get_str("id").and_then(|id| id.parse::<Uuid>().ok()),
        async |id| match id {
            Some(id) => find_transaction(id).await,
            None => Ok(None),
        },
    );
    let page = move || {
        Suspend::new(async move {
            match detail.await {
                Ok(Some(detail)) => view! { <TransactionView detail/> }.into_any(),
                Ok(None) => view! {
                    <NotFoundPage
                        heading="Transaction not found"
                        text="Onceward has no transaction with this id. Check that it was copied completely."
                    />
                }
                .into_any(),
                Err(error) => view! { <ErrorMessage what="The transaction" error/> }.into_any(),
            }
        })
    };
    view! {
        <Title text="Transaction · Onceward"/>
        <Transition>{page}</Transition>
    }
}

#[component]
fn TransactionView(detail: TransactionDetail) -> impl IntoView {
    let id = detail.transaction.transaction_id;
    let detail = RwSignal::new(detail);
    follow(id, detail);

    let state = Signal::derive(move || detail.read().transaction.status);
    let attempts = Signal::derive(move || detail.read().transaction.attempts);
    let title = move || format!("{} {} · Onceward", state_label(state.get()), short_id(id));
    view! {
        <Title text=title/>
        <p class="mb-2"><a class="link" href=address("/")>"All transactions"</a></p>
        <div class="flex flex-wrap items-baseline gap-x-4 gap-y-1">
            <h1 class="page-heading mb-1">
                "Transaction " <span class="font-mono">{short_id(id)}</span>
            </h1>
            <StateBadge state attempts/>
        </div>
        <p class="flex flex-wrap items-center gap-x-2">
            <code class="select-all break-all">{id.to_string()}</code>
            <CopyButton text=Signal::stored(id.to_string()) what="the id"/>
        </p>
        <StatusSummary detail/>
        <Interventions detail/>
        <div class="detail">
            <section aria-labelledby="fields-heading">
                <h2 id="fields-heading" class="section-heading">"Details"</h2>
                <Fields detail/>
            </section>
            <section aria-labelledby="timeline-heading">
                <h2 id="timeline-heading" class="section-heading">"Timeline"</h2>
                <Timeline detail/>
            </section>
        </div>
    }
}

/// Keeps `detail` up to date for as long as it is on the page.
fn follow(id: Uuid, detail: RwSignal<TransactionDetail>) {
    // Set when a change arrives during a reload, whose result may then be outdated.
    let changed_meanwhile = StoredValue::new(false);
    let reload = Action::new(move |()| async move {
        loop {
            changed_meanwhile.try_set_value(false);
            if let Ok(Some(latest)) = find_transaction(id).await {
                detail.try_maybe_update(|detail| {
                    let changed = *detail != latest;
                    *detail = latest;
                    (changed, ())
                });
            }
            if changed_meanwhile.try_get_value() != Some(true) {
                break;
            }
        }
    });
    let loading = reload.pending();
    let request_reload = move || {
        if loading.get_untracked() {
            changed_meanwhile.set_value(true);
        } else {
            reload.dispatch(());
        }
    };
    let is_this = move |transaction: &Transaction| transaction.transaction_id == id;
    Effect::new(move |_| {
        expect_context::<LiveFeed>().listen(move |event| match event {
            FeedEvent::Opened | FeedEvent::Gap => request_reload(),
            FeedEvent::Changed(batch) if batch.iter().any(is_this) => request_reload(),
            FeedEvent::Changed(_) => {}
        });
        let open = move || !detail.read_untracked().transaction.status.is_final();
        let interval = set_interval_with_handle(
            move || {
                if open() && !document().hidden() {
                    request_reload();
                }
            },
            RELOAD_INTERVAL,
        );
        on_cleanup(move || drop(interval.map(|interval| interval.clear())));
    });
}
