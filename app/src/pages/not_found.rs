//! The page for an address or a transaction that does not exist.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::components::address::address;

/// Says that there is nothing here, and sets the HTTP status to 404.
#[component]
pub fn NotFoundPage(
    /// The heading.
    #[prop(default = "Page not found")]
    heading: &'static str,
    /// The explanation.
    #[prop(default = "There is nothing at this address.")]
    text: &'static str,
) -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::NOT_FOUND);
    }
    view! {
        <Title text=format!("{heading} · Onceward")/>
        <h1 class="page-heading">{heading}</h1>
        <p>{text}</p>
        <p class="mt-3"><a class="link" href=address("/")>"All transactions"</a></p>
    }
}
