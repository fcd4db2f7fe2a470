//! Forms that the browser itself posts where WASM is not running: it is redirected, and the answer
//! travels in the page's address.

use leptos::{prelude::*, server::ServerActionError, server_fn::error::ServerFnUrlError};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate},
};

/// In the address, what a plain form post was answered where it failed: Leptos puts it there.
const ANSWER: [&str; 2] = ["__path", "__err"];

/// Why a plain form post to the server function at this path failed, which led to this page.
pub fn error_in_address<E: FromServerFnError>(path: &str) -> Option<E> {
    use_context::<ServerActionError>()
        .filter(|error| error.path() == path && has_answer_in_address())
        .map(|error| ServerFnUrlError::decode_err(error.err()))
}

/// Whether the address still has the answer to a plain form post. To a later visit of the page the
/// router would bring it back.
fn has_answer_in_address() -> bool {
    use_location().query.read_untracked().get_str(ANSWER[1]).is_some()
}

/// The answer in the address is about one form post: once the page shows it, a reload must not bring
/// it back.
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
        let options = NavigateOptions { replace: true, scroll: false, ..Default::default() };
        navigate(&address, options);
    });
}

/// Whether the browser itself posts the form, and shows as a page what comes back.
#[cfg(feature = "ssr")]
pub fn is_plain() -> bool {
    use axum::http::{header::ACCEPT, request::Parts};

    let accept = use_context::<Parts>().and_then(|parts| parts.headers.get(ACCEPT).cloned());
    accept.is_some_and(|it| it.to_str().is_ok_and(|text| text.contains("text/html")))
}

/// Answers the page's own code with a status. A plain form post is always redirected, where it failed
/// back to the form, by Leptos.
#[cfg(feature = "ssr")]
pub fn set_status(status: axum::http::StatusCode) {
    if is_plain() {
        return;
    }
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(status);
    }
}
