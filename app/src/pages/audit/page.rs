//! The page of the audit. It is read once, and does not follow changes.

use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use crate::{
    components::error_message::ErrorMessage,
    pages::audit::{address::query_of, filters::AuditFilters, list::AuditList},
    server_functions::audit::list_audit,
};

/// Who did what, and who was refused what, newest first.
#[component]
pub fn AuditPage() -> impl IntoView {
    let params = use_query_map();
    let page = Resource::new_blocking(
        move || query_of(&params.read()),
        // The query is returned with its answer, so that the list never mixes two of them.
        async |query| (query.clone(), list_audit(query).await),
    );
    let list = move || {
        Suspend::new(async move {
            let (query, page) = page.await;
            let list = match page {
                Ok(Ok(page)) => view! { <AuditList query=query.clone() page/> }.into_any(),
                Ok(Err(wrong)) => view! { <p role="alert" class="empty">{wrong}</p> }.into_any(),
                Err(error) => view! { <ErrorMessage what="The audit" error/> }.into_any(),
            };
            view! {
                <AuditFilters query/>
                {list}
            }
        })
    };
    view! {
        <Title text="Audit · Onceward"/>
        <h1 class="page-heading">"Audit"</h1>
        <Transition>{list}</Transition>
    }
}
