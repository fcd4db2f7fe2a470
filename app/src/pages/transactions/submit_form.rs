//! The form that submits a transaction. It works as plain HTML; with WASM, submitting does not
//! leave the page.

use leptos::{html, prelude::*, server_fn::ServerFn};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlFormElement, HtmlInputElement, HtmlTextAreaElement};

use crate::{
    components::{
        form::{FormAction, PostForm},
        short_id::short_id,
    },
    pages::transactions::{
        form_field::{MetadataField, TextField},
        new_id::new_id,
    },
    server_functions::{
        plain_form_post::error_in_address,
        submit::{FormValues, SubmissionError, SubmitTransaction},
    },
};

/// The fields in the order shown; the first with an error gets the focus.
const FIELDS: [&str; 5] = ["amount", "currency", "description", "reference", "metadata"];
/// Suggested while typing. Every other currency of ISO 4217 is accepted too.
const COMMON_CURRENCIES: [&str; 12] =
    ["USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "CNY", "INR", "BRL", "SEK", "MXN"];

/// The form "Submit a transaction".
#[component]
pub fn SubmitForm() -> impl IntoView {
    let answer = RwSignal::new(error_in_address(SubmitTransaction::PATH).map(Err));
    // The values of a plain form post that failed; the fields start with them.
    let sent =
        answer.get_untracked().and_then(Result::err).map(|answer: SubmissionError| answer.typed);
    let generated = SharedValue::new(new_id).into_inner();
    let sent = sent.unwrap_or_default();
    let id = RwSignal::new(if sent.id.is_empty() { generated } else { sent.id.clone() });
    let form = NodeRef::<html::Form>::new();

    let error = move |pointer: &'static str| {
        Signal::derive(move || match &*answer.read() {
            Some(Err(answer)) => answer.at(pointer).map(str::to_owned),
            _ => None,
        })
    };
    let first_bad = move || {
        let answer = answer.read();
        let answer = answer.as_ref()?.as_ref().err()?;
        FIELDS.into_iter().find(|name| answer.at(&format!("/{name}")).is_some())
    };
    // On a page that arrives with errors, the browser itself moves the focus there.
    let autofocus = untrack(first_bad);
    let post = FormAction::new(SubmitTransaction::PATH, move |answered| {
        let answered = match answered {
            Ok(json) => {
                serde_json::from_str(&json).map_err(|_| SubmissionError::from_answer(&json))
            }
            Err(json) => Err(SubmissionError::from_answer(&json)),
        };
        if let Err(SubmissionError { typed, .. }) = &answered
            && !typed.id.is_empty()
        {
            id.set(typed.id.clone());
        }
        let stored = answered.is_ok();
        answer.set(Some(answered));
        if stored {
            id.set(new_id());
            form.get_untracked().as_ref().map(clear);
        } else {
            untrack(first_bad).and_then(field).map(|field| field.focus());
        }
    });
    let stored = move || answer.get().and_then(Result::ok);

    let FormValues { amount, currency, description, reference, metadata, .. } = sent;
    view! {
        <div class="card">
            <h2 id="submit-heading" class="sr-only">"Submit a transaction"</h2>
            <PostForm
                action=post
                node_ref=form
                attr:class="submit-form"
                attr:aria-labelledby="submit-heading"
                attr:novalidate=true
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
                <div class="submit-form-footer">
                    <button
                        type="submit"
                        class="button"
                        aria-disabled=post.disabled()
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
            </PostForm>
        </div>
    }
}

fn field(name: &str) -> Option<HtmlElement> {
    document().get_element_by_id(name)?.dyn_into().ok()
}

/// Clears the fields. A reset alone would restore the values that a plain form post came back with.
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
