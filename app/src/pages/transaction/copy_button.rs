//! A button that copies a text.

use std::time::Duration;

use leptos::prelude::*;

/// Copies `text` to the clipboard and confirms it. Visible only where the browser allows it: not
/// without WASM, and not on a page loaded over plain HTTP from another host.
#[component]
pub fn CopyButton(
    /// The text to copy.
    #[prop(into)]
    text: Signal<String>,
    /// A name for the text, read after "Copy".
    what: &'static str,
) -> impl IntoView {
    let allowed = RwSignal::new(false);
    let copied = RwSignal::new(false);
    Effect::new(move |_| allowed.set(window().is_secure_context()));
    let word = Signal::derive(move || if copied.get() { "Copied" } else { "Copy" }.to_owned());
    let copy = move |_| {
        let _ = window().navigator().clipboard().write_text(&text.get_untracked());
        copied.set(true);
        set_timeout(move || _ = copied.try_set(false), Duration::from_secs(2));
    };
    view! {
        <button
            type="button"
            class="button-quiet not-data-allowed:invisible"
            data-allowed=allowed
            on:click=copy
        >
            {word}
            <span class="sr-only">{format!(" {what}")}</span>
        </button>
    }
}
