//! Why somebody does what they do: asked for with everything that a person does.

use domain::intervention::MAX_REASON_CHARS;
use leptos::prelude::*;

/// The field for it. Whatever opens with it has the focus in it.
#[component]
pub fn ReasonField(
    /// Its id on the page.
    id: &'static str,
    /// Shown while it is empty.
    placeholder: &'static str,
    /// Whether it must be given.
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
