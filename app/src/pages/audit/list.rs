//! The entries of a page of the audit.

use domain::{AuditEntry, AuditPage};
use leptos::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    components::{
        address::address,
        outside_text::{OutsideJson, OutsideText},
        timestamp::AbsoluteTime,
    },
    pages::audit::{
        AuditQuery,
        address::{audit_address, export_address},
    },
};

/// A page of the audit, and the links to the other pages.
#[component]
pub fn AuditList(
    /// The filter in the address.
    query: AuditQuery,
    /// The entries.
    page: AuditPage,
) -> impl IntoView {
    let is_empty = page.data.is_empty();
    let entries = page.data.into_iter().map(|entry| view! { <Entry entry/> }).collect_view();
    let older = page.next_cursor.map(|cursor| audit_address(&query, Some(&cursor)));
    let newest = (!query.cursor.is_empty()).then(|| audit_address(&query, None));
    let csv = export_address(&query, "csv");
    let ndjson = export_address(&query, "ndjson");
    view! {
        <ol class="audit" aria-label="Audit">
            {entries}
        </ol>
        {is_empty.then(|| view! { <p class="empty">"There are no such entries."</p> })}
        <div class="below-list">
            <nav class="paging" aria-label="Pages">
                {newest.map(|href| view! { <a class="link" href=href>"Newest"</a> })}
                {older.map(|href| view! { <a class="link" href=href>"Older"</a> })}
            </nav>
            // Exports all pages, not only this one.
            <p class="exports">
                <a class="link" href=csv download="">"Export CSV"</a>
                <a class="link" href=ndjson download="" aria-label="Export NDJSON">"NDJSON"</a>
            </p>
        </div>
    }
}

#[component]
fn Entry(entry: AuditEntry) -> impl IntoView {
    let AuditEntry {
        at,
        principal,
        credential,
        address: client,
        request_id,
        action,
        object,
        outcome,
        before,
        after,
        reason,
        part_of,
        ..
    } = entry;
    // The object of a request that was refused may be anything.
    let transaction = object.strip_prefix("transaction:").and_then(|id| id.parse::<Uuid>().ok());
    let text = view! { <code><OutsideText text=object/></code> };
    let object = match transaction {
        Some(id) => {
            let href = address(&format!("/transactions/{id}"));
            view! { <a class="link" href=href>{text}</a> }.into_any()
        }
        None => text.into_any(),
    };
    let is_refused = outcome == "refused";
    let change = [("before", before), ("after", after)].into_iter().filter_map(|(name, json)| {
        let json = json.as_ref().map(Value::to_string)?;
        Some(view! { <span>{name} " " <code><OutsideJson json/></code></span> })
    });
    let origin = [
        ("from", client),
        ("with", credential),
        ("in request", request_id),
        ("as part of", part_of),
    ];
    let origin = origin.into_iter().filter_map(|(name, text)| {
        Some(view! { <span>{name} " " <OutsideText text=text?/></span> })
    });
    view! {
        <li class="event">
            <div class="event-head">
                <strong class="font-medium"><OutsideText text=principal/></strong>
                <span>
                    <code>{action}</code>
                    {is_refused.then(|| view! { " " <strong class="audit-refused">"refused"</strong> })}
                </span>
                <span class="wrap-anywhere">{object}</span>
                <span class="event-time"><AbsoluteTime at/></span>
            </div>
            {reason.map(|text| view! { <p class="break-words">"“" <OutsideText text/> "”"</p> })}
            <p class="audit-detail">{change.collect_view()}</p>
            <p class="audit-detail">{origin.collect_view()}</p>
        </li>
    }
}
