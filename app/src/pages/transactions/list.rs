//! The list of transactions: rendered by the server, live from hydration on.

use std::time::Duration;

use domain::{Page, State};
use leptos::{html, prelude::*};

use crate::{
    feed::{FeedEvent, LiveFeed},
    pages::transactions::{
        cursor::cursor_after, empty_list::EmptyList, list_address::list_address, rows::Rows,
        transaction_row::TransactionRow,
    },
    server_functions::queries::{LIST_LENGTH, list_transactions},
};

/// The feed leaves changes out when they come too fast, and so does a connection that is lost
/// without a sign. While there are changes the list is read anew this often.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// A page of the list.
#[component]
pub fn TransactionList(
    /// Only those in this state.
    status: Option<State>,
    /// Where the page begins; `None` for the first, on which new transactions appear.
    cursor: Option<String>,
    /// What it shows at first.
    page: Page,
) -> impl IntoView {
    let first_page = cursor.is_none();
    let rows = RwSignal::new(Rows::new(status, LIST_LENGTH, first_page, page));
    let table = NodeRef::<html::Table>::new();
    // While somebody points at a row or has the focus in one, it must not move away.
    let pointed_at = RwSignal::new(false);
    let focused = RwSignal::new(false);
    let frozen = move || {
        let in_use = pointed_at.try_get_untracked().unwrap_or(true)
            || focused.try_get_untracked().unwrap_or(true);
        // Above the window's edge, rows that come would push away those that are being read.
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
            // The button is gone; who used it goes on at the top of the list.
            let _ = table.focus();
            table.scroll_into_view();
        }
    };
    let shown = move || rows.read().shown().to_vec();
    // Leptos 0.8 keeps something of every row that a `<For>` ever had (`Owner` never forgets a child),
    // and a list may be on the page for days: from time to time it is made anew.
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
        let rows = rows.read();
        let last = rows.shown().last().filter(|_| rows.has_older())?;
        let cursor = cursor_after(&last.transaction.read_untracked());
        Some(list_address(status, Some(&cursor)))
    });
    let export = |format| {
        let filter = status.map(|status| format!("&status={status}")).unwrap_or_default();
        format!("/api/transactions/export?format={format}{filter}")
    };
    view! {
        <div class="new-rows">
            <button type="button" class="button" hidden=none_waiting on:click=on_show_waiting>
                {waiting}
            </button>
        </div>
        // The roles say again what the elements say, for browsers that forget it once the style
        // sheet lays a table out as anything else, as ours does on a phone.
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
        <div class="below-list">
            <nav class="paging" aria-label="Pages">
                {(!first_page)
                    .then(|| view! { <a class="link" href=list_address(status, None)>"Newest"</a> })}
                // Shown where it leads somewhere.
                <a class="link" href=older>"Older"</a>
            </nav>
            // All of them, not only this page.
            <p class="exports">
                <a class="link" href=export("csv") download="">"Export CSV"</a>
                <a class="link" href=export("ndjson") download="" aria-label="Export NDJSON">
                    "NDJSON"
                </a>
                // No page of this application: the browser is to fetch it.
                <a class="link" href="/api/docs" rel="external">"API"</a>
            </p>
        </div>
    }
}

/// Keeps `rows` up to date for as long as the list is on the page.
fn follow(
    rows: RwSignal<Rows>,
    status: Option<State>,
    cursor: Option<String>,
    frozen: impl Fn() -> bool + Copy + Send + Sync + 'static,
) {
    // What arrives while the list is read anew is newer than what is read, and applied once more.
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
            FeedEvent::Opened => {
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
                        // Gone with the list, perhaps, while this waited.
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
