//! The bulk retry of all transactions that are failed or in doubt, and its progress.

use std::time::Duration;

use domain::{Counts, Intervention, Permission, State};
use leptos::{prelude::*, server_fn::ServerFn, task::spawn_local};

use crate::{
    components::{
        dialog::{Dialog, DialogFooter, close},
        form::{FormAction, PostForm},
        money::format_count,
        page_context::may,
        reason_field::ReasonField,
        state_badge::state_label,
    },
    feed::LiveFeed,
    pages::transactions::list_address::list_address,
    server_functions::{
        bulk_retry::{Progress, RetryAll, bulk_retry_progress},
        operation_error::{earlier_error, error_message},
    },
};

const RETRY_ALL: &str = "retry-all";
/// How often the page polls the progress of a bulk retry.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The button "Retry all", shown for a list of transactions that ended without success.
#[component]
pub fn RetryAllButton(
    /// The state that the list is filtered by.
    status: Signal<Option<State>>,
    /// The counts when the page was rendered, until newer ones arrive.
    initial: Option<Counts>,
) -> impl IntoView {
    let error = RwSignal::new(earlier_error(RetryAll::PATH));
    let form = FormAction::new(RetryAll::PATH, move |answer| {
        error.set(error_message(&answer));
        close(RETRY_ALL);
    });
    let live = expect_context::<LiveFeed>();
    let count = move |state| live.counts().or(initial).map_or(0, |counts| counts.of(state));
    let may_operate = may(Permission::Operate);
    let offered = move |state: &State| {
        // Pending transactions are retried anyway.
        may_operate
            && *state != State::Pending
            && Intervention::Retry.leads_to(*state, true).is_ok()
            && count(*state) > 0
    };
    // The name and not the state, because each additional type of memo makes the download larger.
    let offered = Memo::new(move |_| status.get().filter(offered).map(|it| it.to_string()));
    let button = move |state: State| {
        let word = state_label(state).to_lowercase();
        let count = Signal::derive(move || format_count(count(state)));
        let all = Signal::derive(move || format!("Retry all {}", count.get()));
        let heading = Signal::derive(move || match word.as_str() {
            "failed" => format!("Retry all {} that failed", count.get()),
            word => format!("Retry all {} that are {word}", count.get()),
        });
        view! {
            <Dialog id=RETRY_ALL button=all heading>
                <PostForm action=form>
                    <input type="hidden" name="status" value=state.as_str()/>
                    <p>
                        "Each becomes due at once, with a fresh set of attempts. Onceward first checks whether \
                         the posting service already has it, so that nothing is posted twice. Transactions \
                         that enter this list later are not retried."
                    </p>
                    <ReasonField id="retry-all-reason" placeholder="what has changed since then"/>
                    <DialogFooter id=RETRY_ALL send=all form/>
                </PostForm>
            </Dialog>
        }
    };
    view! {
        <div>{move || offered.get().and_then(|state| state.parse().ok()).map(button)}</div>
        <p role="alert" class="text-failed empty:hidden">{error}</p>
    }
}

/// The progress of the bulk retry whose id is in the address.
#[component]
pub fn RetryAllProgress(
    /// The state that the list is filtered by.
    status: Option<State>,
    /// The progress when the page was rendered.
    initial: Progress,
) -> impl IntoView {
    let progress = RwSignal::new(initial);
    poll_progress(progress);
    let finished = Memo::new(move |_| progress.read().finished);
    let word = Signal::derive(move || {
        if finished.get() { "Retry of all finished:" } else { "Retrying all:" }.to_owned()
    });
    let numbers = Signal::derive(move || {
        let Progress { examined, retried, .. } = *progress.read();
        format!("{} examined, {} retried", format_count(examined), format_count(retried))
    });
    let others = Signal::derive(move || {
        let Progress { examined, retried, finished, .. } = *progress.read();
        let left = examined.saturating_sub(retried);
        (finished && left > 0)
            .then(|| format!("; {} had changed in the meantime", format_count(left)))
    });
    view! {
        <div class="progress" data-finished=finished>
            // A screen reader announces only the start and the end; the numbers change each second.
            <p role="status">{word}</p>
            <p class="tabular-nums">{numbers} {others} "."</p>
            <a class="link" href=list_address(status, None) data-noscroll=true>"Hide"</a>
        </div>
    }
}

/// Polls the progress until the bulk retry has finished.
fn poll_progress(progress: RwSignal<Progress>) {
    let id = progress.read_untracked().id;
    Effect::new(move |_| {
        let poll = move || {
            if progress.try_with_untracked(|it| it.finished) == Some(false) && !document().hidden()
            {
                spawn_local(async move {
                    if let Ok(Some(latest)) = bulk_retry_progress(id).await {
                        progress.try_set(latest);
                    }
                });
            }
        };
        let interval = set_interval_with_handle(poll, POLL_INTERVAL);
        on_cleanup(move || drop(interval.map(|interval| interval.clear())));
    });
}
