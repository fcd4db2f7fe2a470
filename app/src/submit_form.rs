//! The form that submits a transaction. It works as plain HTML; WASM adds that the page stays.

use leptos::{ev::SubmitEvent, form::ActionForm, html, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate},
};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlFormElement, HtmlInputElement, HtmlTextAreaElement};

use crate::{
    field::{MetadataField, TextField},
    submit::{SubmitTransaction, Typed},
    transaction_id::{draw_id, short_id},
};

/// The fields as they are shown; the first bad one gets the focus.
const FIELDS: [&str; 5] = ["amount", "currency", "description", "reference", "metadata"];
/// Offered while typing; every other currency of ISO 4217 is taken as well.
const COMMON_CURRENCIES: [&str; 12] =
    ["USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "CNY", "INR", "BRL", "SEK", "MXN"];

/// The form "Submit a transaction".
#[component]
pub fn SubmitForm() -> impl IntoView {
    let action = ServerAction::<SubmitTransaction>::new();
    forget_answer_in_address(action);
    // What a form post without WASM sent; the fields start with it.
    let sent = action.value().get_untracked().and_then(Result::err).map(|answer| answer.typed);
    let drawn = SharedValue::new(draw_id).into_inner();
    let sent = sent.unwrap_or_default();
    let id = RwSignal::new(if sent.id.is_empty() { drawn } else { sent.id.clone() });
    let form = NodeRef::<html::Form>::new();

    let error = move |pointer: &'static str| {
        Signal::derive(move || match &*action.value().read() {
            Some(Err(answer)) => answer.at(pointer).map(str::to_owned),
            _ => None,
        })
    };
    let first_bad = move || {
        let value = action.value().read();
        let answer = value.as_ref()?.as_ref().err()?;
        FIELDS.into_iter().find(|name| answer.at(&format!("/{name}")).is_some())
    };
    // On a page that arrives with errors the browser itself puts the focus there.
    let autofocus = untrack(first_bad);
    Effect::watch(
        move || action.value().get(),
        move |answer, _, _| match answer {
            Some(Ok(_)) => {
                id.set(draw_id());
                form.get_untracked().as_ref().map(clear);
            }
            Some(Err(answer)) => {
                if !answer.typed.id.is_empty() {
                    id.set(answer.typed.id.clone());
                }
                untrack(first_bad).and_then(field).map(|field| field.focus());
            }
            None => {}
        },
        false,
    );
    // Not `disabled` while it is under way: that would take the focus from whoever uses the keyboard.
    let pending = action.pending();
    let once_at_a_time = move |event: SubmitEvent| {
        if pending.get_untracked() {
            event.prevent_default();
        }
    };
    let disabled = Signal::derive(move || pending.get().then(|| "true".to_owned()));
    let stored = move || action.value().get().and_then(Result::ok);

    let Typed { amount, currency, description, reference, metadata, .. } = sent;
    view! {
        <div class="card">
            <h2 id="submit-heading" class="sr-only">"Submit a transaction"</h2>
            <ActionForm
                action
                node_ref=form
                attr:class="submit-form"
                attr:aria-labelledby="submit-heading"
                attr:novalidate=true
                on:submit:capture=once_at_a_time
            >
                <input type="hidden" name="id" autocomplete="off" value=id/>
                <TextField
                    label="Amount"
                    name="amount"
                    value=amount
                    placeholder="100.50"
                    inputmode="decimal"
                    required=true
                    autofocus=autofocus == Some("amount")
                    error=error("/amount")
                />
                <TextField
                    label="Currency"
                    name="currency"
                    value=currency
                    placeholder="USD"
                    list="currencies"
                    required=true
                    autofocus=autofocus == Some("currency")
                    error=error("/currency")
                />
                <datalist id="currencies">
                    {COMMON_CURRENCIES
                        .into_iter()
                        .map(|code| view! { <option value=code></option> })
                        .collect_view()}
                </datalist>
                <TextField
                    label="Description"
                    name="description"
                    value=description
                    placeholder="optional"
                    autofocus=autofocus == Some("description")
                    error=error("/description")
                />
                <TextField
                    label="Reference"
                    name="reference"
                    value=reference
                    placeholder="your own id, optional"
                    autofocus=autofocus == Some("reference")
                    error=error("/reference")
                />
                <MetadataField
                    value=metadata
                    autofocus=autofocus == Some("metadata")
                    error=error("/metadata")
                />
                <div class="submit-form-foot">
                    <button
                        type="submit"
                        class="button"
                        aria-disabled=disabled
                    >
                        "Submit"
                    </button>
                    <div>
                    <p role="alert" class="text-failed">{error("")}</p>
                    <p role="status" class="text-muted">
                        {move || {
                            stored()
                                .map(|id| {
                                    view! {
                                        "Stored as "
                                        <a class="link font-mono" href=format!("/transactions/{id}")>
                                            {short_id(id)}
                                        </a>
                                    }
                                })
                        }}
                    </p>
                    </div>
                </div>
            </ActionForm>
        </div>
    }
}

/// The answer to a form post without WASM is in the address. It is about that post only: a reload
/// must not bring it back, nor a later visit to this page, for which the router would.
fn forget_answer_in_address(action: ServerAction<SubmitTransaction>) {
    let location = use_location();
    if location.query.read_untracked().get_str("__err").is_none() {
        action.value().set(None);
        return;
    }
    let navigate = use_navigate();
    Effect::new(move |_| {
        let mut query = location.query.get_untracked();
        query.remove("__err");
        query.remove("__path");
        let address = location.pathname.get_untracked() + &query.to_query_string();
        let options = NavigateOptions { replace: true, scroll: false, ..Default::default() };
        navigate(&address, options);
    });
}

fn field(name: &str) -> Option<HtmlElement> {
    document().get_element_by_id(name)?.dyn_into().ok()
}

/// Empties the fields. A reset alone would bring back what a page without WASM came with.
fn clear(form: &HtmlFormElement) {
    for field in FIELDS.into_iter().filter_map(field) {
        if let Some(input) = field.dyn_ref::<HtmlInputElement>() {
            input.set_default_value("");
        } else if let Some(area) = field.dyn_ref::<HtmlTextAreaElement>() {
            let _ = area.set_default_value("");
        }
    }
    form.reset();
}
