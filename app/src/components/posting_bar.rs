//! A bar below the header that shows when posting is paused or in trouble, and the button that
//! pauses posting.

use domain::{Circuits, Pause, Permission, PostingStatus};
use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    components::{
        dialog::{Dialog, DialogFooter, close, focus_soon},
        form::{FormAction, PostForm},
        outside_text::OutsideText,
        page_context::may,
        reason_field::ReasonField,
        time_format,
    },
    feed::LiveFeed,
    server_functions::{
        operation_error::{earlier_error, error_message},
        posting::SetPause,
    },
};

const PAUSE: &str = "pause";
const BAR: &str = "posting-bar";

/// Pauses posting. Shown while posting is not paused.
#[component]
pub fn PauseButton(
    /// The state of posting.
    status: Signal<Option<PostingStatus>>,
) -> impl IntoView {
    let (form, error) = pause_form(|| {
        close(PAUSE);
        focus_soon(BAR);
    });
    let running = Memo::new(move |_| status.read().as_ref().is_some_and(|it| it.paused.is_none()));
    let button = move || {
        running.get().then(|| {
            view! {
                <Dialog id=PAUSE button="Pause posting".to_owned() heading="Pause posting".to_owned()>
                    <PostForm action=form>
                        <input type="hidden" name="paused" value="true"/>
                        <p>
                            "Until posting is resumed, no worker starts a new POST. Transactions are still \
                             accepted and queued. Requests in flight finish, and verifications continue."
                        </p>
                        <ReasonField id="pause-reason" placeholder="what other operators should know"/>
                        <DialogFooter id=PAUSE send="Pause posting".to_owned() form/>
                    </PostForm>
                    <p role="alert" class="text-failed empty:hidden">{error}</p>
                </Dialog>
            }
        })
    };
    view! { <div class="pause">{button}</div> }
}

/// Says whether posting is paused or in trouble, and offers to resume it.
#[component]
pub fn PostingBar(
    /// The state of posting.
    status: Signal<Option<PostingStatus>>,
) -> impl IntoView {
    let (form, error) = pause_form(|| focus_soon("pause-button"));
    // Two memos, so that a change of one does not make a screen reader announce the other again.
    let paused = Memo::new(move |_| status.read().as_ref()?.paused.clone());
    let trouble = Memo::new(move |_| trouble_notice(status.read().as_ref()?.circuits));
    let pause = move || {
        let since = paused.get();
        since.map(|since| view! { <strong>"Posting is paused"</strong> {pause_notice(since)} })
    };
    let may_operate = may(Permission::Operate);
    let resume = move || {
        (may_operate && paused.read().is_some()).then(|| {
            view! {
                <PostForm action=form>
                    <input type="hidden" name="paused" value="false"/>
                    <button type="submit" class="button-quiet">
                        "Resume"
                    </button>
                </PostForm>
            }
        })
    };
    view! {
        <div id=BAR class="posting-bar" tabindex="-1">
            <div class="strip strip-paused">
                // Always present, so that a screen reader announces what appears in it.
                <p role="status">{pause}</p>
                {resume}
                <p role="alert" class="text-failed empty:hidden">{error}</p>
            </div>
            <div class="strip strip-trouble">
                <p role="status">{trouble}</p>
            </div>
        </div>
    }
}

/// The answer is the new state of posting, so the page need not wait for the feed.
fn pause_form(done: fn()) -> (FormAction, RwSignal<Option<String>>) {
    let live = expect_context::<LiveFeed>();
    let error = RwSignal::new(earlier_error(SetPause::PATH));
    let form = FormAction::new(SetPause::PATH, move |answer| {
        error.set(error_message(&answer));
        if let Some(status) = answer.ok().and_then(|json| serde_json::from_str(&json).ok()) {
            live.set_posting(status);
            done();
        }
    });
    (form, error)
}

fn pause_notice(pause: Pause) -> impl IntoView {
    let Pause { paused_at, paused_by, reason } = pause;
    let reason = reason.map(|text| view! { " (" <OutsideText text/> ")" });
    view! {
        {format!(" since {} by ", time_format::absolute(paused_at))}
        <OutsideText text=paused_by/>
        {reason}
        ". Transactions are still accepted and queued."
    }
}

fn trouble_notice(circuits: Circuits) -> Option<String> {
    let workers = circuits.workers();
    let not_closed = workers - circuits.closed;
    let cause = match circuits.credentials_refused {
        0 => "Nothing gets through to the posting service",
        _ => "The posting service refuses Onceward's credentials",
    };
    match (workers, not_closed) {
        (0, _) => Some("No worker is running, so nothing is posted.".to_owned()),
        (_, 0) => None,
        (1, _) => Some(format!("{cause}: the circuit breaker of the worker is open.")),
        _ => Some(format!(
            "{cause}: the circuit breakers of {not_closed} of {workers} workers are open."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuits(closed: u32, open: u32, half_open: u32) -> Circuits {
        Circuits { closed, open, half_open, credentials_refused: 0 }
    }

    #[test]
    fn there_is_no_notice_while_every_worker_posts() {
        assert_eq!(trouble_notice(circuits(2, 0, 0)), None);
    }

    #[test]
    fn a_circuit_breaker_that_is_half_open_counts_as_open() {
        let said = trouble_notice(circuits(1, 1, 1));
        assert!(said.is_some_and(|said| said.contains("2 of 3 workers")));
        let said = trouble_notice(circuits(0, 0, 1));
        assert!(said.is_some_and(|said| said.contains("breaker of the worker is open")));
        let said = trouble_notice(Circuits::default());
        assert!(said.is_some_and(|said| said.starts_with("No worker")));
    }

    #[test]
    fn credentials_that_are_refused_are_named_as_the_cause() {
        let refused = Circuits { credentials_refused: 1, ..circuits(1, 1, 0) };
        let said = trouble_notice(refused).unwrap();
        assert!(said.starts_with("The posting service refuses Onceward's credentials: "), "{said}");
    }
}
