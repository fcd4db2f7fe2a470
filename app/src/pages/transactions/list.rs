//! The list of transactions: rendered by the server, and live after hydration. The headings of its
//! columns are here; the cells are in `transaction_row`.

use std::time::Duration;

use domain::{Page, State, Unreadable};
use leptos::{html, prelude::*};

use crate::{
    components::address::address,
    feed::{FeedEvent, LiveFeed},
    pages::transactions::{
        empty_list::EmptyList, list_address::list_address, rows::Rows,
        transaction_row::TransactionRow,
    },
    server_functions::queries::{LIST_LENGTH, list_transactions},
};

/// A connection can be lost without notice. While changes arrive, the list is reloaded this often.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// A page of the list.
#[component]
pub fn TransactionList(
    /// The state to filter by.
    status: Option<State>,
    /// Where the page begins; `None` for the first, on which new transactions appear.
    cursor: Option<String>,
    /// The initial content.
    page: Page,
) -> impl IntoView {
    let first_page = cursor.is_none();
    let rows = RwSignal::new(Rows::new(status, LIST_LENGTH, first_page, page));
    let table = NodeRef::<html::Table>::new();
    // A row must not move while the user points at one or has the focus in one.
    let pointed_at = RwSignal::new(false);
    let focused = RwSignal::new(false);
    let frozen = move || {
        let in_use = pointed_at.try_get_untracked().unwrap_or(true)
            || focused.try_get_untracked().unwrap_or(true);
        // If the top is scrolled out of view, new rows would push away the rows being read.
        let scrolled_past = || {
            let table = table.try_get_untracked().flatten();
            table.is_some_and(|table| table.get_bounding_client_rect().top() < 0.0)
        };
        in_use || scrolled_past()
    };
    let show_waiting = move || rows.maybe_update(Rows::show_waiting);
    Effect::watch(
        move || pointed_at.get() || focused.get(),
        move |_, _, _| {
            if !frozen() {
                show_waiting();
            }
        },
        false,
    );

    follow(rows, status, cursor, frozen);

    let none_waiting = Signal::derive(move || rows.read().waiting() == 0);
    let waiting = Signal::derive(move || match rows.read().waiting() {
        LIST_LENGTH.. => format!("{LIST_LENGTH}+ new"),
        count => format!("{count} new"),
    });
    let not_empty = Signal::derive(move || !rows.read().shown().is_empty());
    let on_show_waiting = move |_| {
        show_waiting();
        if let Some(table) = table.get_untracked() {
            // The button is gone now, so the focus moves to the top of the list.
            let _ = table.focus();
            table.scroll_into_view();
        }
    };
    let shown = move || rows.read().shown().to_vec();
    // Leptos 0.8 leaks memory for every row that a `<For>` ever had (`Owner` never forgets a
    // child), and a page may stay open for days. So the `<For>` is rebuilt from time to time.
    let generation = Memo::new(move |_| rows.read().generation());
    let body = move || {
        let _ = generation.get();
        view! {
            <For each=shown key=|row| row.id let:row>
                <TransactionRow transaction=row.transaction/>
            </For>
        }
    };
    let older = Signal::derive(move || {
        let cursor = rows.read().cursor()?;
        Some(list_address(status, Some(&cursor)))
    });
    let unreadable = move || {
        let unreadable = rows.read().unreadable().to_vec();
        (!unreadable.is_empty()).then(|| view! { <UnreadableTransactions unreadable/> })
    };
    let export = |format| {
        let filter = status.map(|status| format!("&status={status}")).unwrap_or_default();
        address(&format!("/api/transactions/export?format={format}{filter}"))
    };
    view! {
        <div class="new-rows">
            <button type="button" class="button" hidden=none_waiting on:click=on_show_waiting>
                {waiting}
            </button>
        </div>
        // The roles repeat those of the elements: some browsers drop them when the style sheet lays
        // a table out as something else, as ours does on a phone.
        <table
            role="table"
            class="transactions"
            aria-label="Transactions"
            tabindex="-1"
            node_ref=table
        >
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col" class="column-state">"State"</th>
                    <th role="columnheader" scope="col" class="column-id">"Id"</th>
                    <th role="columnheader" scope="col" class="column-amount">"Amount"</th>
                    <th role="columnheader" scope="col">"Description"</th>
                    <th role="columnheader" scope="col" class="column-attempts">
                        "Attempts"
                    </th>
                    <th role="columnheader" scope="col">"Last error"</th>
                    <th role="columnheader" scope="col" class="column-time">"Submitted"</th>
                </tr>
            </thead>
            <tbody
                role="rowgroup"
                on:pointerenter=move |_| pointed_at.set(true)
                on:pointerleave=move |_| pointed_at.set(false)
                on:focusin=move |_| focused.set(true)
                on:focusout=move |_| focused.set(false)
            >
                {body}
            </tbody>
        </table>
        <div class="empty" hidden=not_empty>
            <EmptyList status first_page/>
        </div>
        {unreadable}
        <div class="below-list">
            <nav class="paging" aria-label="Pages">
                {(!first_page)
                    .then(|| view! { <a class="link" href=list_address(status, None)>"Newest"</a> })}
                // Hidden by the style sheet if there is no older page.
                <a class="link" href=older>"Older"</a>
            </nav>
            // Exports all pages, not only this one.
            <p class="exports">
                // With a byte order mark, because this one is for spreadsheets.
                <a class="link" href=export("csv-bom") download="">"Export CSV"</a>
                <a class="link" href=export("ndjson") download="" aria-label="Export NDJSON">
                    "NDJSON"
                </a>
                // These have no part in this page's script, so the browser must load them.
                <a class="link" href=address("/audit") rel="external">"Audit"</a>
                <a class="link" href=address("/api/docs") rel="external">"API"</a>
            </p>
        </div>
    }
}

/// The transactions of the page that the server cannot read.
#[component]
fn UnreadableTransactions(unreadable: Vec<Unreadable>) -> impl IntoView {
    let items = unreadable
        .into_iter()
        .map(|Unreadable { transaction_id, reason }| {
            view! {
                <li>
                    <code class="select-all break-all">{transaction_id.to_string()}</code>
                    ": "
                    {reason}
                </li>
            }
        })
        .collect_view();
    view! {
        <section class="notice" aria-label="Unreadable transactions">
            <strong>"These transactions of this page cannot be read:"</strong>
            <ul>{items}</ul>
        </section>
    }
}

/// Keeps `rows` up to date for as long as the list is on the page.
fn follow(
    rows: RwSignal<Rows>,
    status: Option<State>,
    cursor: Option<String>,
    frozen: impl Fn() -> bool + Copy + Send + Sync + 'static,
) {
    // Changes that arrive during a reload are newer than its result, and are applied again.
    let meanwhile = StoredValue::new(Vec::new());
    let reload = Action::new(move |()| {
        let request = list_transactions(status, cursor.clone());
        async move {
            let Ok(page) = request.await else { return };
            rows.try_maybe_update(|rows| {
                let changed = rows.reload(page, frozen());
                let missed = meanwhile.try_get_value().unwrap_or_default();
                (rows.apply(&missed, frozen()) || changed, ())
            });
        }
    });
    let loading = reload.pending();
    let due = StoredValue::new(false);
    Effect::new(move |_| {
        expect_context::<LiveFeed>().listen(move |event| match event {
            FeedEvent::Opened | FeedEvent::Gap => {
                reload.dispatch(());
            }
            FeedEvent::Changed(batch) => {
                meanwhile.update_value(|meanwhile| {
                    if !loading.get_untracked() {
                        meanwhile.clear();
                    }
                    meanwhile.extend_from_slice(batch);
                });
                rows.maybe_update(|rows| rows.apply(batch, frozen()));
                if !due.get_value() {
                    due.set_value(true);
                    let reload_now = move || {
                        // The list may be gone by now, and this signal with it.
                        if due.try_update_value(|due| *due = false).is_some() {
                            reload.dispatch(());
                        }
                    };
                    set_timeout(reload_now, RELOAD_INTERVAL);
                }
            }
        });
    });
}
