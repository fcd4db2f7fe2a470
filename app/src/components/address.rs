//! The addresses of Onceward's pages, files and API.

use leptos::server_fn::client::{get_server_url, try_set_server_url};

/// What all addresses begin with; empty unless a proxy serves Onceward under a path.
pub fn path_prefix() -> &'static str {
    get_server_url()
}

/// Sets what all addresses begin with, the server functions' own among them. Only the first call has an effect, and
/// only if the prefix is not empty.
pub fn set_path_prefix(prefix: &str) {
    // It is set at each page that the server renders, and only the first must be kept in memory for ever.
    if !prefix.is_empty() && path_prefix().is_empty() {
        let _ = try_set_server_url(prefix.to_owned().leak());
    }
}

/// Gives the page that is rendered its complete address: the server has removed the prefix from it.
#[cfg(feature = "ssr")]
pub fn provide_complete_address() {
    use axum::http::{request::Parts, uri::PathAndQuery};
    use leptos::prelude::{provide_context, use_context};
    use leptos_router::location::RequestUrl;

    let Some(Parts { uri, .. }) = use_context() else { return };
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // Its host does not matter.
    provide_context(RequestUrl::new(&format!("http://localhost{}", address(path))));
}

/// The address of a path such as `/api/stream`.
pub fn address(path: &str) -> String {
    format!("{}{path}", path_prefix())
}
