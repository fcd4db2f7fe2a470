//! A button that opens a small dialog: the browser's own popover, which needs no script. It closes
//! with Escape or a click beside it, and gives the focus back.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use crate::components::form::FormAction;

/// The button, and what it opens.
#[component]
pub fn Dialog(
    /// Its id on the page; `{id}-button` is the button's.
    id: &'static str,
    /// On the button.
    #[prop(into)]
    button: Signal<String>,
    /// The dialog's name.
    #[prop(into)]
    heading: Signal<String>,
    /// What is in it.
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

/// The last row of a popover's form: the button that sends it, and one that closes the popover.
#[component]
pub fn DialogFooter(
    /// The popover's id.
    id: &'static str,
    /// On the button that sends the form.
    #[prop(into)]
    send: Signal<String>,
    /// Its form.
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

/// Closes a popover, if it is there and open.
pub fn close(id: &str) {
    if let Some(popover) = element(id) {
        let _ = popover.hide_popover();
    }
}

/// Puts the focus on what has this id, once the page shows what it should by now.
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
