//! The half-written form: it is kept while the user looks at another page, and found again afterwards.
//!
//! It is in the browser's session storage, so it belongs to one tab and ends with it. Its id is kept
//! with it: what was sent and not yet answered can be sent again as the same transaction.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{FormData, HtmlFormElement, HtmlInputElement, HtmlTextAreaElement, Storage};

use crate::server_functions::submit::FormValues;

/// The fields in the order shown.
pub const FIELDS: [&str; 5] = ["amount", "currency", "description", "reference", "metadata"];

const DRAFT: &str = "onceward.draft";

/// Keeps what is typed in the form, or forgets what was kept if the form is empty.
pub fn keep(form: &HtmlFormElement, id: String) {
    let Some(storage) = storage() else { return };
    let typed = FormValues { id, ..typed(form) };
    // Without a storage, or one with room, the form works as before.
    let _ = match serde_json::to_string(&typed) {
        Ok(json) if !is_empty(&typed) => storage.set_item(DRAFT, &json),
        _ => storage.remove_item(DRAFT),
    };
}

/// Fills an empty form with what was kept, and returns its id.
pub fn restore(form: &HtmlFormElement) -> Option<String> {
    let json = storage()?.get_item(DRAFT).ok()??;
    let kept: FormValues = serde_json::from_str(&json).ok()?;
    for (name, value) in fields(&kept) {
        set_value(form, name, value);
    }
    Some(kept.id)
}

/// Clears each field that still has the value that was sent. What was typed meanwhile stays.
pub fn clear(form: &HtmlFormElement, sent: &FormValues) {
    let typed = typed(form);
    for ((name, typed), (_, sent)) in fields(&typed).into_iter().zip(fields(sent)) {
        if typed == sent {
            set_value(form, name, "");
        }
    }
}

/// What is typed in the form.
pub fn typed(form: &HtmlFormElement) -> FormValues {
    FormData::new_with_form(form).map(|data| read(&data)).unwrap_or_default()
}

/// The values in a form's data.
pub fn read(data: &FormData) -> FormValues {
    // As in the fields: with the line breaks of scripts, not of forms that are sent.
    let value = |name| data.get(name).as_string().unwrap_or_default().replace("\r\n", "\n");
    FormValues {
        id: value("id"),
        amount: value("amount"),
        currency: value("currency"),
        description: value("description"),
        reference: value("reference"),
        metadata: value("metadata"),
    }
}

/// Puts values into a form's data, in place of those that it has.
pub fn write(data: &FormData, values: &FormValues) {
    for (name, value) in fields(values).into_iter().chain([("id", &*values.id)]) {
        // It fails only for files.
        let _ = data.set_with_str(name, value);
    }
}

/// Whether nothing is typed.
pub fn is_empty(values: &FormValues) -> bool {
    fields(values).iter().all(|(_, value)| value.trim().is_empty())
}

fn fields(values: &FormValues) -> [(&'static str, &str); 5] {
    let FormValues { amount, currency, description, reference, metadata, .. } = values;
    let [a, c, d, r, m] = FIELDS;
    [(a, amount), (c, currency), (d, description), (r, reference), (m, metadata)]
}

fn storage() -> Option<Storage> {
    window().session_storage().ok()?
}

/// The form may not be in the document yet, so its fields are searched in the form.
fn set_value(form: &HtmlFormElement, name: &str, value: &str) {
    let Ok(Some(control)) = form.query_selector(&format!("[name={name}]")) else { return };
    match control.dyn_into::<HtmlInputElement>() {
        Ok(input) => input.set_value(value),
        Err(area) => area.unchecked_into::<HtmlTextAreaElement>().set_value(value),
    }
}
