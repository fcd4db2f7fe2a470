//! What stands where something could not be loaded.

use leptos::prelude::*;

use crate::server_functions::load_error::LoadError;

/// Says what could not be loaded and why; the page's status says it to programs.
#[component]
pub fn ErrorMessage(
    /// What, as the beginning of a sentence.
    what: &'static str,
    /// Why.
    error: LoadError,
) -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::SERVICE_UNAVAILABLE);
    }
    view! {
        <div class="empty" role="alert">
            <p>{format!("{what} could not be loaded: {error}.")}</p>
            // An address of its own would lose the filter; this one is the page itself.
            <p><a class="link" href="" rel="external">"Try again"</a></p>
        </div>
    }
}
