//! The host to which a request is addressed.

use axum::http::{HeaderMap, Uri, header, uri::Authority};

/// The host and port that a request names: in `Host`, or over HTTP/2 as its authority. `None` if it names none that can be
/// read.
pub fn requested_host(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    match headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?.parse().ok(),
        None => uri.authority().cloned(),
    }
}
