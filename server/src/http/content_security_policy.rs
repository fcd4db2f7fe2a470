//! The content security policies: what a page may load and run. A page may load only its own files, and runs no script
//! that is written into it without the nonce of this one response.

use axum::http::{HeaderValue, header};
use leptos::prelude::{use_context, use_nonce};
use leptos_axum::ResponseOptions;

/// Of every response that is no page: as a page it may do nothing.
pub const OF_DATA: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Of the page that shows the API's document. Its script sets the styles that it needs, and has images in its style sheet.
pub const OF_DOCUMENTATION: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Of a page without script: forms and a style sheet.
pub const OF_PLAIN_PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// Gives the page that Leptos renders its policy, with the nonce that its scripts have.
pub fn protect_page() {
    let (Some(nonce), Some(response)) = (use_nonce(), use_context::<ResponseOptions>()) else {
        return;
    };
    if let Ok(policy) = HeaderValue::from_str(&of_page(&nonce)) {
        response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
    }
}

fn of_page(nonce: &str) -> String {
    // `cargo leptos watch` reloads the page over a WebSocket.
    let reloads = if std::env::var_os("LEPTOS_WATCH").is_some() { " ws: wss:" } else { "" };
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; \
         font-src 'self'; connect-src 'self'{reloads}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}
