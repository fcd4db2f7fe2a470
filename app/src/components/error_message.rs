//! The message shown in place of what could not be loaded.

use leptos::prelude::*;

use crate::server_functions::load_error::LoadError;

/// Says what could not be loaded and why, and sets the HTTP status to 503.
#[component]
pub fn ErrorMessage(
    /// What could not be loaded, as the beginning of a sentence.
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
            // The empty address is this page, with its filter.
            <p><a class="link" href="" rel="external">"Try again"</a></p>
        </div>
    }
}
