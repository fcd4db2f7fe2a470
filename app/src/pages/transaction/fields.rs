//! The fields of a transaction.

use leptos::prelude::*;

use crate::{
    components::{
        money::Money,
        outside_text::{OutsideJson, OutsideText},
        page_context::Setting,
        timestamp::AbsoluteTime,
    },
    server_functions::queries::TransactionDetail,
};

/// Every field of a transaction.
#[component]
pub fn Fields(
    /// The transaction with its attempts.
    detail: RwSignal<TransactionDetail>,
) -> impl IntoView {
    // The submitted fields never change; only the attempts and the time of completion do.
    let submitted = detail.read_untracked().transaction.clone();
    let metadata = submitted.metadata.and_then(|metadata| {
        let json = serde_json::to_string_pretty(&metadata).ok()?;
        Some(view! { <pre class="code"><OutsideJson json/></pre> })
    });
    let money = view! { <Money amount=submitted.amount currency=submitted.currency/> };
    let max_attempts = expect_context::<Setting>().max_attempts;
    let attempts = move || format!("{} of {max_attempts}", detail.read().transaction.attempts);
    let attempts = Signal::derive(attempts);
    let completed_at =
        move || detail.read().transaction.completed_at.map(|at| view! { <AbsoluteTime at/> });
    view! {
        <dl class="fields">
            {field("Amount", Some(money))}
            {text_field("Reference", submitted.reference)}
            {submitted.idempotency_key.map(|key| text_field("Idempotency key", Some(key.to_string())))}
            {text_field("Description", submitted.description)}
            {field("Timestamp", submitted.timestamp.map(|at| view! { <AbsoluteTime at/> }))}
            {text_field("Source account", submitted.source_account)}
            {text_field("Destination account", submitted.destination_account)}
            {field("Submitted at", Some(view! { <AbsoluteTime at=submitted.submitted_at/> }))}
            <dt>"Completed at"</dt>
            <dd>{completed_at}</dd>
            <dt>"Attempts counted"</dt>
            <dd>{attempts}</dd>
            {field("Metadata", metadata)}
        </dl>
    }
}

fn field(name: &'static str, value: Option<impl IntoView + 'static>) -> impl IntoView {
    view! {
        <dt>{name}</dt>
        <dd>{value}</dd>
    }
}

/// A field with a text of the client.
fn text_field(name: &'static str, value: Option<String>) -> impl IntoView {
    field(name, value.map(|text| view! { <OutsideText text/> }))
}
