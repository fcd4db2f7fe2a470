//! Retrying all that a list shows which is failed or in doubt, and how far that has come.

use std::time::Duration;

use domain::{Counts, Intervention, State};
use leptos::{prelude::*, server_fn::ServerFn, task::spawn_local};

use crate::{
    components::{
        dialog::{Popover, PopoverFoot, close},
        form::{FormPost, PostForm},
        money::counted,
        reason_field::ReasonField,
        state_badge::state_word,
    },
    feed::Live,
    pages::transactions::list_address::address,
    server_functions::{
        bulk_retry::{Progress, RetryAll, bulk_retry_progress},
        operation_error::{failed, why_not},
    },
};

const RETRY_ALL: &str = "retry-all";
/// How often it is asked how far a retry has come.
const ASK: Duration = Duration::from_secs(1);

/// The button "Retry all", where the list shows what has come to its end without success.
#[component]
pub fn RetryAllButton(
    /// The state that the list is restricted to.
    status: Signal<Option<State>>,
    /// The counts as the page was rendered, until newer ones arrive.
    initial: Option<Counts>,
) -> impl IntoView {
    let not_done = RwSignal::new(failed(RetryAll::PATH));
    let form = FormPost::new(RetryAll::PATH, move |answer| {
        not_done.set(why_not(&answer));
        close(RETRY_ALL);
    });
    let live = expect_context::<Live>();
    let count = move |state| live.counts().or(initial).map_or(0, |counts| counts.of(state));
    let offered = move |state: &State| {
        // What is pending is retried anyway.
        *state != State::Pending
            && Intervention::Retry.leads_to(*state, true).is_ok()
            && count(*state) > 0
    };
    // By its name, since every further type of a memo costs the download.
    let offered = Memo::new(move |_| status.get().filter(offered).map(|it| it.to_string()));
    let button = move |state: State| {
        let word = state_word(state).to_lowercase();
        let count = Signal::derive(move || counted(count(state)));
        let all = Signal::derive(move || format!("Retry all {}", count.get()));
        let heading = Signal::derive(move || match word.as_str() {
            "failed" => format!("Retry all {} that failed", count.get()),
            word => format!("Retry all {} that are {word}", count.get()),
        });
        view! {
            <Popover id=RETRY_ALL button=all heading>
                <PostForm to=form>
                    <input type="hidden" name="status" value=state.as_str()/>
                    <p>
                        "Each becomes due at once, and gets all its attempts anew. The posting service is \
                         asked first whether it has it, so that nothing is posted twice. What comes to this \
                         list only later is left alone."
                    </p>
                    <ReasonField id="retry-all-reason" placeholder="what has changed since"/>
                    <PopoverFoot id=RETRY_ALL send=all form/>
                </PostForm>
            </Popover>
        }
    };
    view! {
        <div>{move || offered.get().and_then(|state| state.parse().ok()).map(button)}</div>
        <p role="alert" class="text-failed empty:hidden">{not_done}</p>
    }
}

/// How far a retry has come that was asked for here; its id is in the address.
#[component]
pub fn RetryAllProgress(
    /// The state that the list is restricted to.
    status: Option<State>,
    /// How far it was as the page was rendered.
    initial: Progress,
) -> impl IntoView {
    let progress = RwSignal::new(initial);
    follow(progress);
    let finished = Memo::new(move |_| progress.read().finished);
    let word = Signal::derive(move || {
        if finished.get() { "Retry of all finished:" } else { "Retrying all:" }.to_owned()
    });
    let numbers = Signal::derive(move || {
        let Progress { examined, retried, .. } = *progress.read();
        format!("{} examined, {} retried", counted(examined), counted(retried))
    });
    let others = Signal::derive(move || {
        let Progress { examined, retried, finished, .. } = *progress.read();
        let left = examined.saturating_sub(retried);
        (finished && left > 0).then(|| format!("; {} had changed meanwhile", counted(left)))
    });
    view! {
        <div class="progress" data-finished=finished>
            // Only what begins and ends is said; the numbers change each second.
            <p role="status">{word}</p>
            <p class="tabular-nums">{numbers} {others} "."</p>
            <a class="link" href=address(status, None) data-noscroll=true>"Hide"</a>
        </div>
    }
}

/// Asks how far it has come, until it is through.
fn follow(progress: RwSignal<Progress>) {
    let id = progress.read_untracked().id;
    Effect::new(move |_| {
        let ask = move || {
            if progress.try_with_untracked(|it| it.finished) == Some(false) && !document().hidden()
            {
                spawn_local(async move {
                    if let Ok(Some(latest)) = bulk_retry_progress(id).await {
                        progress.try_set(latest);
                    }
                });
            }
        };
        let interval = set_interval_with_handle(ask, ASK);
        on_cleanup(move || drop(interval.map(|interval| interval.clear())));
    });
}
