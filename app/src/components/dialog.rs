//! A button that opens a small dialog. It is the browser's own popover, which needs no script,
//! closes with Escape or a click outside, and returns the focus.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use crate::components::form::FormAction;

/// The button and its dialog.
#[component]
pub fn Dialog(
    /// The dialog's id on the page; the button's is `{id}-button`.
    id: &'static str,
    /// The button's label.
    #[prop(into)]
    button: Signal<String>,
    /// The dialog's heading, which is its accessible name.
    #[prop(into)]
    heading: Signal<String>,
    /// The dialog's content.
    children: Children,
) -> impl IntoView {
    let heading_id = move || format!("{id}-heading");
    view! {
        <button
            type="button"
            class="button-quiet"
            id=format!("{id}-button")
            popovertarget=id
            aria-haspopup="dialog"
        >
            {button}
        </button>
        <div id=id popover="auto" class="dialog" role="dialog" aria-labelledby=heading_id()>
            <h2 id=heading_id() class="section-heading">{heading}</h2>
            {children()}
        </div>
    }
}

/// The last row of a dialog's form: the button that sends it, and one that closes the dialog.
#[component]
pub fn DialogFooter(
    /// The dialog's id.
    id: &'static str,
    /// The label of the button that sends the form.
    #[prop(into)]
    send: Signal<String>,
    /// The dialog's form.
    form: FormAction,
) -> impl IntoView {
    view! {
        <div class="dialog-footer">
            <button type="submit" class="button" aria-disabled=form.disabled()>
                {send}
            </button>
            <button type="button" class="button-quiet" popovertarget=id popovertargetaction="hide">
                "Close"
            </button>
        </div>
    }
}

/// Closes a dialog, if it exists and is open.
pub fn close(id: &str) {
    if let Some(popover) = element(id) {
        let _ = popover.hide_popover();
    }
}

/// Moves the focus to the element with this id, once the page has been updated.
pub fn focus_soon(id: &'static str) {
    request_animation_frame(move || {
        if let Some(element) = element(id) {
            let _ = element.focus();
        }
    });
}

fn element(id: &str) -> Option<HtmlElement> {
    document().get_element_by_id(id)?.dyn_into().ok()
}
