//! `/`: submit a transaction, and follow all of them.

use domain::{Page, Permission, State};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use uuid::Uuid;

use crate::{
    components::{error_message::ErrorMessage, page_context::may},
    pages::transactions::{
        cursor::is_cursor,
        ignored_filters::IgnoredFilters,
        list::TransactionList,
        retry_all::{RetryAllButton, RetryAllProgress},
        state_tabs::StateTabs,
        submit_form::SubmitForm,
    },
    server_functions::{
        bulk_retry::{Progress, bulk_retry_progress},
        load_error::LoadError,
        queries::{count_transactions, list_transactions},
    },
};

type Query = (Option<State>, Option<String>, Option<Uuid>);
type Listing = (Option<State>, Option<String>, Result<Page, LoadError>, Option<Progress>);

/// The list of transactions, with the form above it.
#[component]
pub fn TransactionsPage() -> impl IntoView {
    let query = use_query_map();
    // What is no state or no cursor is ignored, and `IgnoredFilters` says so.
    let status = move || query.read().get_str("status").and_then(|text| text.parse().ok());
    let page = Resource::new_blocking(
        move || {
            let retry = query.read().get_str("retry").and_then(|id| id.parse().ok());
            (status(), query.read().get("cursor").filter(|text| is_cursor(text)), retry)
        },
        // The query is returned with its answer, so that the list never mixes two of them.
        async |(status, cursor, retry): Query| {
            let page = list_transactions(status, cursor.clone()).await;
            let progress = match retry {
                Some(id) => bulk_retry_progress(id).await.ok().flatten(),
                None => None,
            };
            (status, cursor, page, progress)
        },
    );
    let initial_counts = Resource::new_blocking(|| (), |()| count_transactions());
    let list = move || {
        Suspend::new(async move {
            let (status, cursor, page, progress): Listing = page.await;
            let list = match page {
                Ok(page) => view! { <TransactionList status cursor page/> }.into_any(),
                Err(error) => view! { <ErrorMessage what="The transactions" error/> }.into_any(),
            };
            let progress = progress.map(|initial| view! { <RetryAllProgress status initial/> });
            view! { {progress} {list} }
        })
    };
    let tabs = move || {
        Suspend::new(async move {
            let initial = initial_counts.await.ok();
            let status = Signal::derive(status);
            view! {
                <div class="above-list">
                    <StateTabs status initial/>
                    <RetryAllButton status initial/>
                </div>
            }
        })
    };
    view! {
        <Title text="Transactions · Onceward"/>
        <h1 class="page-heading">"Transactions"</h1>
        {may(Permission::Submit).then(|| view! { <SubmitForm/> })}
        <Suspense>{tabs}</Suspense>
        <IgnoredFilters query/>
        <Transition>{list}</Transition>
    }
}
