//! The field for the reason of an operator: every action asks for one.

use domain::intervention::MAX_REASON_CHARS;
use leptos::prelude::*;

/// The field "Reason". It takes the focus when its dialog opens.
#[component]
pub fn ReasonField(
    /// Its id on the page.
    id: &'static str,
    /// Shown while it is empty.
    placeholder: &'static str,
    /// Whether a reason is required.
    #[prop(optional)]
    required: bool,
) -> impl IntoView {
    let optional = (!required).then(|| view! { <span class="text-muted">" (optional)"</span> });
    view! {
        <div class="field">
            <label for=id>"Reason" {optional}</label>
            <input
                type="text"
                class="control"
                id=id
                name="reason"
                placeholder=placeholder
                maxlength=MAX_REASON_CHARS
                autocomplete="off"
                autofocus=true
                required=required
            />
        </div>
    }
}
