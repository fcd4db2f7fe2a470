//! What stands where there is nothing.

use leptos::prelude::*;
use leptos_meta::Title;

/// Says that there is nothing here, and answers 404.
#[component]
pub fn NotFoundPage(
    /// What there is not, as a heading.
    #[prop(default = "Page not found")]
    heading: &'static str,
    /// What that may mean.
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
        <p class="mt-3"><a class="link" href="/">"All transactions"</a></p>
    }
}
