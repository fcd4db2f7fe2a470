//! The interventions that the state of a transaction permits: cancel, retry, resolve.

use domain::{Intervention, Permission, Resolution, State};
use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    components::{
        dialog::{Dialog, DialogFooter, close, focus_soon},
        form::{FormAction, PostForm},
        page_context::may,
        reason_field::ReasonField,
    },
    server_functions::{
        intervention::Intervene,
        operation_error::{earlier_error, error_message, message},
        queries::TransactionDetail,
    },
};

const CANCEL: &str = "cancel";
const RETRY: &str = "retry";
const RESOLVE: &str = "resolve";
const ANSWER: &str = "intervention-answer";

/// The buttons that the transaction permits, and the result of the last intervention.
#[component]
pub fn Interventions(
    /// The transaction with its attempts and interventions.
    detail: RwSignal<TransactionDetail>,
) -> impl IntoView {
    let (success, error) = (RwSignal::new(None), RwSignal::new(earlier_error(Intervene::PATH)));
    let form = FormAction::new(Intervene::PATH, move |answer| {
        success.set(answer.as_deref().ok().map(message));
        error.set(error_message(&answer));
        for dialog in [CANCEL, RETRY, RESOLVE] {
            close(dialog);
        }
        focus_soon(ANSWER);
    });
    // After a plain form post, the browser moves the focus here.
    let autofocus = error.read_untracked().is_some();

    // A memo keeps the dialog while the intervention is permitted: an attempt must not close an
    // open dialog.
    let may_operate = may(Permission::Operate);
    let permits = move |intervention: Intervention| {
        Memo::new(move |_| {
            let detail = detail.read();
            may_operate
                && intervention
                    .leads_to(detail.transaction.status, detail.may_have_been_sent())
                    .is_ok()
        })
    };
    let cancel = permits(Intervention::Cancel);
    let retry = permits(Intervention::Retry);
    let resolve = permits(Intervention::Resolve(Resolution::Completed));
    view! {
        <div class="interventions">
            {move || cancel.get().then(|| view! { <Cancel detail form/> })}
            {move || retry.get().then(|| view! { <Retry detail form/> })}
            {move || resolve.get().then(|| view! { <Resolve detail form/> })}
        </div>
        <div id=ANSWER class="answer" tabindex="-1" autofocus=autofocus>
            <p role="status">{success}</p>
            <p role="alert" class="text-failed">{error}</p>
        </div>
    }
}

#[component]
fn Cancel(detail: RwSignal<TransactionDetail>, form: FormAction) -> impl IntoView {
    view! {
        <Dialog id=CANCEL button="Cancel".to_owned() heading="Cancel the transaction".to_owned()>
            <PostForm action=form>
                {id_input(detail)}
                <input type="hidden" name="action" value="cancel"/>
                <p>"Nothing has been sent for this transaction, and nothing will be. A cancellation is final."</p>
                <ReasonField id="cancel-reason" placeholder="who requested it, and why"/>
                <DialogFooter id=CANCEL send="Cancel the transaction".to_owned() form/>
            </PostForm>
        </Dialog>
    }
}

#[component]
fn Retry(detail: RwSignal<TransactionDetail>, form: FormAction) -> impl IntoView {
    let effect = Signal::derive(move || match detail.read().transaction.status {
        State::Pending => "It becomes due at once, with its remaining attempts.".to_owned(),
        _ => "It becomes due at once, with a fresh set of attempts. Onceward first checks whether \
             the posting service already has it, so that nothing is posted twice."
            .to_owned(),
    });
    view! {
        <Dialog id=RETRY button="Retry".to_owned() heading="Retry the transaction".to_owned()>
            <PostForm action=form>
                {id_input(detail)}
                <input type="hidden" name="action" value="retry"/>
                <p>{effect}</p>
                <ReasonField id="retry-reason" placeholder="what has changed since then"/>
                <DialogFooter id=RETRY send="Retry the transaction".to_owned() form/>
            </PostForm>
        </Dialog>
    }
}

#[component]
fn Resolve(detail: RwSignal<TransactionDetail>, form: FormAction) -> impl IntoView {
    let choice = |value: &'static str, word: &'static str, meaning: &'static str| {
        view! {
            <label class="choice">
                <input type="radio" name="action" value=value required=true/>
                <span>
                    <strong>{word}</strong>
                    " "
                    {meaning}
                </span>
            </label>
        }
    };
    view! {
        <Dialog id=RESOLVE button="Resolve".to_owned() heading="Resolve the transaction".to_owned()>
            <PostForm action=form>
                {id_input(detail)}
                <p>
                    "Look the transaction up in the posting service, and enter its result. Onceward accepts \
                     it as given, and neither posts nor verifies again."
                </p>
                <fieldset class="choices">
                    <legend class="sr-only">"Result"</legend>
                    {choice("completed", "Completed:", "the posting service has it, exactly once and with the right content.")}
                    {choice(
                        "failed",
                        "Failed:",
                        "the posting service does not have it, and no earlier request can still create it.",
                    )}
                </fieldset>
                <ReasonField id="resolve-reason" placeholder="how you know" required=true/>
                <DialogFooter id=RESOLVE send="Resolve the transaction".to_owned() form/>
            </PostForm>
        </Dialog>
    }
}

/// The hidden field with the transaction's id.
fn id_input(detail: RwSignal<TransactionDetail>) -> impl IntoView {
    let id = detail.read_untracked().transaction.transaction_id;
    view! { <input type="hidden" name="id" value=id.to_string()/> }
}
