//! `/`: submit a transaction, and watch what becomes of all of them.

use domain::{Page, State};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    load_error::LoadError,
    load_failed::LoadFailed,
    queries::{count_transactions, list_transactions},
    state_tabs::StateTabs,
    submit_form::SubmitForm,
    transaction_list::TransactionList,
};

type Query = (Option<State>, Option<String>);

/// The list of transactions, with the form above it.
#[component]
pub fn TransactionsPage() -> impl IntoView {
    let query = use_query_map();
    // A state that is none restricts nothing.
    let status = move || query.read().get_str("status").and_then(|text| text.parse().ok());
    let page = Resource::new_blocking(
        move || (status(), query.read().get("cursor")),
        // The query goes with the answer to it, so that the list never mixes two.
        async |(status, cursor): Query| {
            let page = list_transactions(status, cursor.clone()).await;
            (status, cursor, page)
        },
    );
    let initial_counts = Resource::new_blocking(|| (), |()| count_transactions());
    let list = move || {
        Suspend::new(async move {
            let (status, cursor, page): (_, _, Result<Page, LoadError>) = page.await;
            match page {
                Ok(page) => view! { <TransactionList status cursor page/> }.into_any(),
                Err(error) => view! { <LoadFailed what="The transactions" error/> }.into_any(),
            }
        })
    };
    let tabs = move || {
        Suspend::new(async move {
            let initial = initial_counts.await.ok();
            view! { <StateTabs status=Signal::derive(status) initial/> }
        })
    };
    view! {
        <Title text="Transactions · Onceward"/>
        <h1 class="page-heading">"Transactions"</h1>
        <SubmitForm/>
        <Suspense>{tabs}</Suspense>
        <Transition>{list}</Transition>
    }
}
