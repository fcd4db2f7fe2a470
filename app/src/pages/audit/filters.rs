//! The form above the audit: a plain GET form, so that the filter is in the address.

use domain::Action;
use leptos::prelude::*;

use crate::{
    components::address::address,
    pages::audit::{AuditQuery, address::audit_address},
};

/// The filters, with the values of the address.
#[component]
pub fn AuditFilters(
    /// The filter in the address.
    query: AuditQuery,
) -> impl IntoView {
    let actions = Action::ALL.into_iter().map(Action::as_str).map(|name| {
        let selected = query.action == name;
        view! { <option value=name selected=selected>{name}</option> }
    });
    let actions = actions.collect_view();
    let AuditQuery { principal, object, from, to, .. } = query;
    let text = |name: &'static str, label: &'static str, value: String, example: &'static str| {
        view! {
            <label class="audit-filter">
                {label}
                <input class="control" type="text" name=name value=value placeholder=example/>
            </label>
        }
    };
    view! {
        <form method="get" action=address("/audit") class="audit-filters" aria-label="Filters">
            {text("principal", "Principal", principal, "")}
            <label class="audit-filter">
                "Action"
                <select class="control" name="action">
                    <option value="">"all"</option>
                    {actions}
                </select>
            </label>
            {text("object", "Object", object, "transaction:<id>")}
            {text("from", "From (UTC)", from, "2026-01-31T00:00:00")}
            {text("to", "To (UTC)", to, "2026-02-01T00:00:00")}
            <button type="submit" class="button">"Filter"</button>
            <a class="link" href=audit_address(&AuditQuery::default(), None)>"Show all"</a>
        </form>
    }
}
