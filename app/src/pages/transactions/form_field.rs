//! Fields of a form: label, control, and below it the error.

use leptos::prelude::*;

use crate::components::outside_text::OutsideText;

/// A field for one line of text.
#[component]
pub fn TextField(
    /// The field's label.
    label: &'static str,
    /// Its name in the form, and its id on the page.
    name: &'static str,
    /// Its initial value.
    value: String,
    /// Shown while it is empty.
    placeholder: &'static str,
    /// The keyboard that a phone offers.
    #[prop(optional)]
    inputmode: Option<&'static str>,
    /// The id of a `<datalist>` with suggestions.
    #[prop(optional)]
    list: Option<&'static str>,
    /// Whether the field is required.
    #[prop(optional)]
    required: bool,
    /// Whether the page opens with the focus on this field.
    autofocus: bool,
    /// The error of its value.
    error: Signal<Option<String>>,
) -> impl IntoView {
    view! {
        <div class=format!("field field-{name}")>
            <label for=name>{label}</label>
            <input
                type="text"
                class="control"
                id=name
                name=name
                value=value
                placeholder=placeholder
                inputmode=inputmode
                list=list
                autocomplete="off"
                spellcheck="false"
                autofocus=autofocus
                aria-required=required.then_some("true")
                aria-invalid=aria_invalid(error)
                aria-describedby=error_id(name)
            />
            <FieldError label name error/>
        </div>
    }
}

/// A field for a JSON object, on several lines if need be.
#[component]
pub fn MetadataField(
    /// Its initial value.
    value: String,
    /// Whether the page opens with the focus on this field.
    autofocus: bool,
    /// The error of its value.
    error: Signal<Option<String>>,
) -> impl IntoView {
    view! {
        <div class="field field-metadata">
            <label for="metadata">"Metadata"</label>
            <textarea
                class="control font-mono"
                id="metadata"
                name="metadata"
                rows="1"
                placeholder=r#"{"order_id": "12345"}"#
                autocomplete="off"
                spellcheck="false"
                autofocus=autofocus
                aria-invalid=aria_invalid(error)
                aria-describedby=error_id("metadata")
                inner_html=escaped(&value)
            />
            <FieldError label="Metadata" name="metadata" error/>
        </div>
    }
}

#[component]
fn FieldError(
    label: &'static str,
    name: &'static str,
    error: Signal<Option<String>>,
) -> impl IntoView {
    let message = move || error.get().map(|text| view! { {label} " " <OutsideText text/> });
    // Always present: an empty description says nothing, and `aria-describedby` need not change.
    view! { <p id=error_id(name) class="field-error">{message}</p> }
}

fn aria_invalid(error: Signal<Option<String>>) -> Signal<Option<String>> {
    Signal::derive(move || error.read().as_ref().map(|_| "true".to_owned()))
}

fn error_id(name: &str) -> String {
    format!("{name}-error")
}

/// Escapes the text of a `<textarea>`, because Leptos does not (tachys 0.2, `ESCAPE_CHILDREN`).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_close_its_textarea() {
        let escaped = escaped("</textarea><script>alert(1)</script>&amp;");
        assert!(!escaped.contains('<'));
        assert!(escaped.ends_with("&amp;amp;"));
    }
}
