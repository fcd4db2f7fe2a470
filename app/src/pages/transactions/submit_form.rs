//! The form that submits a transaction. It works as plain HTML; with WASM, submitting does not
//! leave the page.

use leptos::{html, prelude::*, server_fn::ServerFn};
use wasm_bindgen::JsCast;
use web_sys::{FormData, HtmlElement};

use crate::{
    components::{
        address::address,
        form::{FormAction, PostForm},
        short_id::short_id,
    },
    pages::transactions::{
        draft::{self, FIELDS},
        form_field::{MetadataField, TextField},
        new_id::new_id,
    },
    server_functions::submit::{FormValues, SubmissionError, SubmitTransaction},
};

/// Suggested while typing. Every other currency of ISO 4217 is accepted too.
const COMMON_CURRENCIES: [&str; 12] =
    ["USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "CNY", "INR", "BRL", "SEK", "MXN"];

/// The form "Submit a transaction".
#[component]
pub fn SubmitForm() -> impl IntoView {
    // The page may be the answer to a plain form post that failed; the fields start with its values.
    let refused = SharedValue::new(use_context::<SubmissionError>).into_inner();
    let typed = refused.as_ref().map(|refused| refused.typed.clone()).unwrap_or_default();
    let answer = RwSignal::new(refused.map(Err));
    let generated = SharedValue::new(new_id).into_inner();
    let id = RwSignal::new(if typed.id.is_empty() { generated } else { typed.id.clone() });
    let form = NodeRef::<html::Form>::new();
    // What was sent last, and, until something new is typed, what was stored last.
    let sent = StoredValue::new(None::<FormValues>);
    let stored_last = StoredValue::new(None::<FormValues>);

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
    // A second click comes when the first was answered and the form is empty. The same is then sent
    // again: with the same id it is stored once, and the answer is the same.
    let to_send = move |data: FormData| {
        let typed = draft::read(&data);
        let is_empty = draft::is_empty(&typed);
        let values = stored_last.get_value().filter(|_| is_empty).unwrap_or(typed);
        draft::write(&data, &values);
        sent.set_value(Some(values));
        data
    };
    let post = FormAction::new(SubmitTransaction::PATH, move |answered| {
        let answered = match answered {
            Ok(json) => {
                serde_json::from_str(&json).map_err(|_| SubmissionError::from_answer(&json))
            }
            Err(json) => Err(SubmissionError::from_answer(&json)),
        };
        let Some((form, sent)) = form.get_untracked().zip(sent.get_value()) else { return };
        // Unless what is typed now is another transaction already.
        if sent.id == *id.read_untracked() {
            match &answered {
                Ok(_) => id.set(new_id()),
                Err(refused) if !refused.typed.id.is_empty() => id.set(refused.typed.id.clone()),
                Err(_) => {}
            }
        }
        let stored = answered.is_ok();
        let answered = Some(answered);
        if answer.with_untracked(|shown| *shown != answered) {
            answer.set(answered);
        }
        if stored {
            draft::clear(&form, &sent);
            stored_last.set_value(Some(sent));
        } else {
            untrack(first_bad).and_then(field).map(|field| field.focus());
        }
        draft::keep(&form, id.get_untracked());
    })
    .posting_to_its_page()
    .sending(to_send);
    Effect::new(move |_| {
        let Some(form) = form.get() else { return };
        if !draft::is_empty(&draft::typed(&form)) {
            // Typed before the page was hydrated.
            draft::keep(&form, id.get_untracked());
        } else if let Some(kept) = draft::restore(&form).filter(|kept| !kept.is_empty()) {
            id.set(kept);
        }
    });
    let on_input = move |_| {
        stored_last.set_value(None);
        // The answer is about what was sent, not about what is typed now.
        if answer.with_untracked(|answer| matches!(answer, Some(Ok(_)))) {
            answer.set(None);
        }
        if let Some(form) = form.get_untracked() {
            draft::keep(&form, id.get_untracked());
        }
    };
    let stored = move || answer.get().and_then(Result::ok);

    let FormValues { amount, currency, description, reference, metadata, .. } = typed;
    view! {
        <div class="card" on:input=on_input>
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
                                        <a
                                            class="link font-mono"
                                            href=address(&format!("/transactions/{id}"))
                                        >
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
