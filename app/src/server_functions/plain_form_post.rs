//! Forms that the browser itself posts while WASM is not running. The server redirects it back to a
//! page; an error travels in the address of that page.

use leptos::{prelude::*, server::ServerActionError, server_fn::error::ServerFnUrlError};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate},
};

/// The query parameters in which Leptos returns the error of a plain form post.
const ANSWER: [&str; 2] = ["__path", "__err"];

/// The error of the plain form post to the server function at `path` that led to this page.
pub fn error_in_address<E: FromServerFnError>(path: &str) -> Option<E> {
    use_context::<ServerActionError>()
        .filter(|error| error.path() == path && has_answer_in_address())
        .map(|error| ServerFnUrlError::decode_err(error.err()))
}

/// Whether the address still has the answer to a plain form post. Without this check, a later visit
/// through the router would show the error again.
fn has_answer_in_address() -> bool {
    use_location().query.read_untracked().get_str(ANSWER[1]).is_some()
}

/// Removes the answer from the address once the page shows it: it belongs to one form post, and a
/// reload must not show it again.
pub fn remove_answer_from_address() {
    if !has_answer_in_address() {
        return;
    }
    let location = use_location();
    let navigate = use_navigate();
    Effect::new(move |_| {
        let mut query = location.query.get_untracked();
        for name in ANSWER {
            query.remove(name);
        }
        let address = location.pathname.get_untracked() + &query.to_query_string();
        // The path has the router's base already.
        let options =
            NavigateOptions { replace: true, scroll: false, resolve: false, ..Default::default() };
        navigate(&address, options);
    });
}

/// Whether the browser itself posts the form, and will show the response as a page.
#[cfg(feature = "ssr")]
pub fn is_plain() -> bool {
    use axum::http::{header::ACCEPT, request::Parts};

    let accept = use_context::<Parts>().and_then(|parts| parts.headers.get(ACCEPT).cloned());
    accept.is_some_and(|it| it.to_str().is_ok_and(|text| text.contains("text/html")))
}

/// Sets the HTTP status of an answer to the page's WASM. Leptos always redirects a plain form post;
/// if it failed, back to the form.
#[cfg(feature = "ssr")]
pub fn set_status(status: axum::http::StatusCode) {
    if is_plain() {
        return;
    }
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(status);
    }
}
