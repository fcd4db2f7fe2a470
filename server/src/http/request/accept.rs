//! The header `Accept`.

use axum::{extract::Request, http::header};

/// Whether the client would show a page.
pub fn accepts_html(request: &Request) -> bool {
    request
        .headers()
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html") || value.contains("application/xhtml+xml"))
}
