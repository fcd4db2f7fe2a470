//! One transaction in the list: the cells of its row. The headings of the columns are in `list`.

use domain::{Transaction, error_text::cause_first};
use leptos::prelude::*;

use crate::components::{
    address::address,
    money::Money,
    outside_text::{OutsideText, isolated},
    page_context::Setting,
    short_id::short_id,
    state_badge::StateBadge,
    timestamp::RelativeTime,
};

/// A row of the list. Fields that never change are rendered once; the others follow the signal.
#[component]
pub fn TransactionRow(
    /// The transaction, in its latest version.
    transaction: ArcRwSignal<Transaction>,
) -> impl IntoView {
    let max_attempts = expect_context::<Setting>().max_attempts;
    let latest = transaction.clone();
    let state = Signal::derive(move || latest.read().status);
    let latest = transaction.clone();
    let attempts = Signal::derive(move || latest.read().attempts);
    let attempt_count = Signal::derive(move || attempts.get().to_string());
    let latest = transaction.clone();
    let error = Signal::derive(move || latest.read().error.clone());
    // The column shows only the beginning; the whole error is in the title.
    let cause = move || {
        let error = error.read();
        error.as_deref().map(|error| view! { <OutsideText text=cause_first(error)/> })
    };
    let error = Signal::derive(move || error.read().as_deref().map(isolated));

    let Transaction {
        transaction_id: id,
        amount,
        currency,
        reference,
        description,
        submitted_at,
        ..
    } = transaction.get_untracked();
    let text = [description.as_deref(), reference.as_deref()].into_iter().flatten();
    let title = text.map(isolated).collect::<Vec<_>>().join(" · ");
    view! {
        <tr role="row">
            <td role="cell" class="column-state">
                <StateBadge state attempts/>
            </td>
            <td role="cell" class="column-id">
                <a
                    class="link font-mono"
                    href=address(&format!("/transactions/{id}"))
                    title=id.to_string()
                >
                    {short_id(id)}
                </a>
            </td>
            <td role="cell" class="column-amount">
                <Money amount currency/>
            </td>
            <td role="cell" class="column-text truncate" title=title>
                {description.clone().map(|text| view! { <OutsideText text/> })}
                {reference
                    .map(|text| {
                        let separator = description.map(|_| " · ");
                        view! {
                            <span class="text-muted">{separator} <OutsideText text/></span>
                        }
                    })}
            </td>
            <td role="cell" class="column-attempts tabular-nums">
                {attempt_count} <span class="text-muted">{format!("/{max_attempts}")}</span>
                <span class="only-stacked">" attempts"</span>
            </td>
            <td role="cell" class="column-error truncate text-muted" title=error>
                {cause}
            </td>
            <td role="cell" class="column-time text-muted tabular-nums">
                <RelativeTime at=submitted_at/>
            </td>
        </tr>
    }
}
