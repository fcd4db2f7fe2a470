//! What a person may do to a transaction as it is: cancel, retry, resolve.

use domain::{Intervention, Resolution, State};
use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    components::{
        dialog::{Dialog, DialogFooter, close, focus_soon},
        form::{FormAction, PostForm},
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

/// The buttons that the transaction permits, and what came of the last that was used.
#[component]
pub fn Interventions(
    /// The transaction with all that was done for it.
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
    // Where the browser itself has sent the form, it puts the focus here.
    let autofocus = error.read_untracked().is_some();

    // Kept while it is permitted: an open dialog must not close because an attempt is made.
    let permits = move |intervention: Intervention| {
        Memo::new(move |_| {
            let detail = detail.read();
            intervention.leads_to(detail.transaction.status, detail.may_have_been_sent()).is_ok()
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
                <p>"Nothing has been sent for it, and then nothing will be. This is final."</p>
                <ReasonField id="cancel-reason" placeholder="who asked for it, and why"/>
                <DialogFooter id=CANCEL send="Cancel the transaction".to_owned() form/>
            </PostForm>
        </Dialog>
    }
}

#[component]
fn Retry(detail: RwSignal<TransactionDetail>, form: FormAction) -> impl IntoView {
    let effect = Signal::derive(move || match detail.read().transaction.status {
        State::Pending => "It becomes due at once, with the attempts that it has left.".to_owned(),
        _ => {
            "It becomes due at once, and gets all its attempts anew. The posting service is asked \
              first whether it has it, so that nothing is posted twice."
                .to_owned()
        }
    });
    view! {
        <Dialog id=RETRY button="Retry".to_owned() heading="Retry the transaction".to_owned()>
            <PostForm action=form>
                {id_input(detail)}
                <input type="hidden" name="action" value="retry"/>
                <p>{effect}</p>
                <ReasonField id="retry-reason" placeholder="what has changed since"/>
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
                    "Look it up in the posting service, and say what became of it. Onceward takes your \
                     word, sends nothing more and asks no more."
                </p>
                <fieldset class="choices">
                    <legend class="sr-only">"What became of it"</legend>
                    {choice("completed", "Completed:", "the posting service has it, once and as it should be.")}
                    {choice(
                        "failed",
                        "Failed:",
                        "the posting service does not have it, and nothing sent so far will bring it there.",
                    )}
                </fieldset>
                <ReasonField id="resolve-reason" placeholder="how you know" required=true/>
                <DialogFooter id=RESOLVE send="Resolve the transaction".to_owned() form/>
            </PostForm>
        </Dialog>
    }
}

/// Tells the form which transaction it is about.
fn id_input(detail: RwSignal<TransactionDetail>) -> impl IntoView {
    let id = detail.read_untracked().transaction.transaction_id;
    view! { <input type="hidden" name="id" value=id.to_string()/> }
}
